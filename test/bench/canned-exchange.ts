/** Requests as stock git sent them, to be sent again as often as one likes. */
import { gunzipSync } from "node:zlib";
import { isObjectId, type ObjectId } from "../../lib/git/object-id.ts";

export interface CannedRequest {
  readonly method: string;
  /** What follows the repository in the URL: `/info/refs?service=git-upload-pack`. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** As it went over the wire, so maybe compressed; empty for none. */
  readonly bodyBase64: string;
}

/** The object ids behind this word in the request's lines. */
export function objectIdsIn(request: CannedRequest, word: "want" | "have"): ObjectId[] {
  const sent = Buffer.from(request.bodyBase64, "base64");
  const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
  const lines = body.toString("latin1").matchAll(new RegExp(`[0-9a-f]{4}${word} ([0-9a-f]{40})\n`, "g"));
  return [...lines].map(([, id = ""]) => id).filter(isObjectId);
}

/** The text of a refusal, for the refused caller: for example that a token has expired. */

import { mediaType } from "../media-type.ts";
import { printableLine } from "../printable-line.ts";

/** Two lines on a terminal. */
const MAX_HINT_LENGTH = 300;
const MAX_BODY_BYTES = 4096;

/**
 * Reads the beginning of the body.
 * @returns One line of printable text; `undefined` if there is none, or if it repeats the credential.
 */
export async function hintOf(
  response: Response,
  authorization: string | undefined,
): Promise<string | undefined> {
  const type = mediaType(response.headers.get("content-type"));
  if (type !== "text/plain" && type !== "application/json") {
    await response.body?.cancel();
    return undefined;
  }
  const body = await readStart(response);
  const text = type === "text/plain" ? body : messageIn(body);
  const line = text && printableLine(text);
  if (line === undefined || line === "") return undefined;
  if (secretsIn(authorization).some((secret) => line.includes(secret))) return undefined;
  return line.length > MAX_HINT_LENGTH ? `${line.slice(0, MAX_HINT_LENGTH)}…` : line;
}

async function readStart(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let readBytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    readBytes += chunk.length;
    if (readBytes >= MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks).toString("utf8", 0, MAX_BODY_BYTES);
}

/** The form of REST errors: `{"error": {"message": "…"}}`. */
function messageIn(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown } };
    return typeof error?.message === "string" ? error.message : undefined;
  } catch {
    return undefined; // not JSON, or truncated
  }
}

function secretsIn(authorization: string | undefined): string[] {
  const value = authorization?.split(" ").at(-1) ?? "";
  if (value === "") return [];
  const decoded = Buffer.from(value, "base64").toString("utf8");
  const password = decoded.slice(decoded.indexOf(":") + 1);
  return [value, ...(password === "" ? [] : [password])];
}

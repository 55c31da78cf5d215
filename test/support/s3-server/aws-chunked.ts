/**
 * Decodes `content-encoding: aws-chunked` with trailers: hexadecimal size, CRLF, bytes, CRLF, until size 0, then header lines.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html, unsigned chunks.
 */
import { invalidRequest } from "./s3-error.ts";

const MAX_LINE_BYTES = 8192;

/** @param onTrailer - Called for each header line after the last chunk. */
export async function* decodeAwsChunked(
  body: AsyncIterable<Uint8Array>,
  onTrailer: (name: string, value: string) => void,
): AsyncGenerator<Uint8Array> {
  let pending: Buffer = Buffer.alloc(0);
  let state: "size" | "bytes" | "gap" | "trailers" | "end" = "size";
  let leftBytes = 0;

  for await (const piece of body) {
    pending = pending.length === 0 ? Buffer.from(piece) : Buffer.concat([pending, piece]);
    while (pending.length > 0 || state === "bytes") {
      if (state === "end") throw invalidRequest("bytes after the last chunk");
      if (state === "bytes") {
        const chunk = pending.subarray(0, leftBytes);
        if (chunk.length > 0) yield chunk;
        pending = pending.subarray(chunk.length);
        leftBytes -= chunk.length;
        if (leftBytes > 0) break;
        state = "gap";
        continue;
      }
      const line = takeLine(pending);
      if (line === undefined) break;
      pending = pending.subarray(line.length + 2);
      if (state === "gap") {
        if (line !== "") throw invalidRequest("no line end after a chunk");
        state = "size";
      } else if (state === "size") {
        if (!/^[0-9a-f]{1,8}$/i.test(line)) throw invalidRequest("chunk size is not hexadecimal");
        leftBytes = Number.parseInt(line, 16);
        state = leftBytes === 0 ? "trailers" : "bytes";
      } else if (line === "") {
        state = "end";
      } else {
        const [name = "", ...value] = line.split(":");
        onTrailer(name.toLowerCase(), value.join(":").trim());
      }
    }
  }
  if (state !== "end") throw invalidRequest("the body ends inside a chunk");
}

/** @returns The line without its end, or undefined if that has not come yet. */
function takeLine(bytes: Buffer): string | undefined {
  const end = bytes.indexOf("\r\n");
  if (end === -1 && bytes.length > MAX_LINE_BYTES) throw invalidRequest("line too long");
  return end === -1 ? undefined : bytes.toString("latin1", 0, end);
}

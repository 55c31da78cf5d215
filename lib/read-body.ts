import { LimitExceededError } from "./errors.ts";

/**
 * Reads the whole body of a request or an answer.
 * @param name - What the error calls it.
 * @throws {LimitExceededError} It is longer than `maxBytes`.
 */
export async function readBody(
  body: AsyncIterable<Uint8Array> | null,
  maxBytes: number,
  name: string,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let totalBytes = 0;
  for await (const chunk of body ?? []) {
    totalBytes += chunk.length;
    if (totalBytes > maxBytes) throw new LimitExceededError(`${name} is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

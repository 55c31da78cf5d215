/**
 * Text whose characters are bytes, U+0000 to U+00FF. Names in git are bytes, mostly but not always UTF-8; as such text they
 * stay what they are, compare and sort as git's do, and are strings all the same.
 * Not TextDecoder: what it calls latin1 is windows-1252.
 */
import { ProtocolError } from "../errors.ts";

export function byteText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** @throws {ProtocolError} A character is no byte. */
export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) throw new ProtocolError("text that should be bytes has another character", { code });
    bytes[i] = code;
  }
  return bytes;
}

/** Whether `bytes[start..end)` begins with `prefix`. */
export function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (start + prefix.length > end) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

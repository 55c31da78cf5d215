/**
 * Takes bytes that need not be UTF-8 through isomorphic-git, which decodes as UTF-8 and trims: on the way in each byte
 * above 7F becomes a letter of its own, and on the way out a byte again.
 */
import { concatBytes, decodePktLine, encodePktLine } from "../git/pktline.ts";

/** Puts the bytes 80 to FF at U+0180 to U+01FF: all of them letters, none of them space. */
const ESCAPE_OFFSET = 0x100;

/** @param bytes - pkt-lines, whole. */
export function escapeLines(bytes: Uint8Array): Uint8Array {
  if (bytes.every((byte) => byte < 0x80)) return bytes;
  const lines: Uint8Array[] = [];
  for (let offsetBytes = 0; offsetBytes < bytes.length; ) {
    const line = decodePktLine(bytes.subarray(offsetBytes));
    if (line.kind === "incomplete") break;
    const asItIs = bytes.subarray(offsetBytes, offsetBytes + line.bytesConsumed);
    lines.push(line.kind === "data" ? encodePktLine(escapeBytes(line.payload)) : asItIs);
    offsetBytes += line.bytesConsumed;
  }
  return concatBytes(lines);
}

/** All of them as UTF-8. */
function escapeBytes(bytes: Uint8Array): Uint8Array {
  const codes = Array.from(bytes, (byte) => (byte < 0x80 ? byte : byte + ESCAPE_OFFSET));
  return new TextEncoder().encode(codes.map((code) => String.fromCharCode(code)).join(""));
}

/** @returns Byte text, see lib/git/byte-text.ts. */
export function unescapeName(name: string): string {
  return name.replace(/[\u0180-\u01ff]/g, (letter) =>
    String.fromCharCode(letter.charCodeAt(0) - ESCAPE_OFFSET),
  );
}

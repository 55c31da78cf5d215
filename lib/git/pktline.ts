/**
 * pkt-lines: git's framing, four hex digits of length and then the payload.
 * Source: gitprotocol-common(5), "pkt-line Format"; gitprotocol-v2(5), "Packet-Line Framing".
 */
import { ProtocolError } from "../errors.ts";
import { printableLine } from "../printable-line.ts";
import { bytesOfText, byteText } from "./byte-text.ts";

export const PKT_PREFIX_BYTES = 4;
export const MAX_PKT_LINE_BYTES = 65_520;
export const MAX_PKT_PAYLOAD_BYTES = MAX_PKT_LINE_BYTES - PKT_PREFIX_BYTES;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const FLUSH_PKT: Uint8Array = encoder.encode("0000");
export const DELIM_PKT: Uint8Array = encoder.encode("0001");

export type DecodedPktLine =
  | { readonly kind: "data"; readonly payload: Uint8Array; readonly bytesConsumed: number }
  | { readonly kind: "flush" | "delim" | "response-end"; readonly bytesConsumed: number }
  | { readonly kind: "incomplete"; readonly bytesNeeded: number };

const SPECIAL_KINDS = ["flush", "delim", "response-end"] as const;

/**
 * Decodes the pkt-line at the start of `bytes`; `payload` is a view, not a copy.
 * @returns `incomplete` with the length that `bytes` must reach before more can be said.
 * @throws {ProtocolError} The prefix is not hex, or is 0003 or above 65520.
 */
export function decodePktLine(bytes: Uint8Array): DecodedPktLine {
  if (bytes.length < PKT_PREFIX_BYTES) return { kind: "incomplete", bytesNeeded: PKT_PREFIX_BYTES };
  const lineBytes = decodeLength(bytes);
  const special = SPECIAL_KINDS[lineBytes];
  if (special !== undefined) return { kind: special, bytesConsumed: PKT_PREFIX_BYTES };
  if (lineBytes < PKT_PREFIX_BYTES || lineBytes > MAX_PKT_LINE_BYTES) {
    throw new ProtocolError("pkt-line length is out of range", { lineBytes });
  }
  if (bytes.length < lineBytes) return { kind: "incomplete", bytesNeeded: lineBytes };
  return { kind: "data", payload: bytes.subarray(PKT_PREFIX_BYTES, lineBytes), bytesConsumed: lineBytes };
}

function decodeLength(bytes: Uint8Array): number {
  let lineBytes = 0;
  for (let i = 0; i < PKT_PREFIX_BYTES; i++) lineBytes = lineBytes * 16 + hexDigitValue(bytes[i] ?? 0);
  return lineBytes;
}

function hexDigitValue(charCode: number): number {
  if (charCode >= 0x30 && charCode <= 0x39) return charCode - 0x30;
  const lowerCase = charCode | 0x20;
  if (lowerCase >= 0x61 && lowerCase <= 0x66) return lowerCase - 0x61 + 10;
  throw new ProtocolError("pkt-line length is not hex", { charCode });
}

/**
 * One data line. Text is bytes, see byte-text.ts, and sent as it is: a trailing newline is the caller's to add.
 * @throws {ProtocolError} The payload does not fit in one line.
 */
export function encodePktLine(payload: Uint8Array | string): Uint8Array {
  const payloadBytes = typeof payload === "string" ? bytesOfText(payload) : payload;
  if (payloadBytes.length > MAX_PKT_PAYLOAD_BYTES) {
    throw new ProtocolError("payload is too long for a pkt-line", { payloadBytes: payloadBytes.length });
  }
  const line = new Uint8Array(PKT_PREFIX_BYTES + payloadBytes.length);
  writePktPrefix(line, 0, line.length);
  line.set(payloadBytes, PKT_PREFIX_BYTES);
  return line;
}

const HEX_DIGITS = encoder.encode("0123456789abcdef");

/** Writes the four hex digits of a line that is `lineBytes` long, prefix included. */
export function writePktPrefix(target: Uint8Array, offsetBytes: number, lineBytes: number): void {
  for (let i = 0; i < PKT_PREFIX_BYTES; i++) {
    target[offsetBytes + i] = HEX_DIGITS[(lineBytes >> (12 - i * 4)) & 15] ?? 0;
  }
}

/** A line as byte text, without the one newline that the sender may have added. */
export function pktText(payload: Uint8Array): string {
  return byteText(withoutNewline(payload));
}

/** A line that is for people, so most likely UTF-8; without what could control a terminal. */
export function pktMessage(payload: Uint8Array): string {
  return printableLine(decoder.decode(withoutNewline(payload)));
}

function withoutNewline(payload: Uint8Array): Uint8Array {
  return payload.at(-1) === 0x0a ? payload.subarray(0, -1) : payload;
}

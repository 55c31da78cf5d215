/** Object ids: SHA-1, as 40 lower-case hex digits at the edges and as 20 bytes in tables. Source: gitglossary(7). */
import { ProtocolError } from "../errors.ts";

declare const objectIdBrand: unique symbol;
/** 40 lower-case hex digits. */
export type ObjectId = string & { readonly [objectIdBrand]: true };

export const OBJECT_ID_BYTES = 20;
export const ZERO_OBJECT_ID = "0".repeat(40) as ObjectId;

const OBJECT_ID_PATTERN = /^[0-9a-f]{40}$/;

export function isObjectId(text: string): text is ObjectId {
  return OBJECT_ID_PATTERN.test(text);
}

/** @throws {ProtocolError} Not 40 lower-case hex digits. */
export function parseObjectId(text: string): ObjectId {
  if (!isObjectId(text)) throw new ProtocolError("not an object id", { text: text.slice(0, 80) });
  return text;
}

const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The id whose 20 bytes start at `offsetBytes`. */
export function objectIdAt(bytes: Uint8Array, offsetBytes: number): ObjectId {
  let hex = "";
  for (const byte of bytes.subarray(offsetBytes, offsetBytes + OBJECT_ID_BYTES)) hex += HEX_OF_BYTE[byte];
  return hex as ObjectId;
}

export function objectIdBytes(id: ObjectId): Uint8Array {
  return Buffer.from(id, "hex");
}

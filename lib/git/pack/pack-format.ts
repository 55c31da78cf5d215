/** The fixed parts of a pack: its header, the head of each entry, its trailer. Source: gitformat-pack(5). */
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";

export const PACK_HEADER_BYTES = 12;
export const PACK_TRAILER_BYTES = 20;
/** 10 bytes of type and size, then a base id or at most 8 bytes of distance. */
export const MAX_ENTRY_HEAD_BYTES = 10 + OBJECT_ID_BYTES;
/** One byte of type and size, and the shortest zlib stream: 2 bytes head, 1 empty block of 2, 4 of Adler-32. */
export const MIN_ENTRY_BYTES = 9;

export const OBJECT_TYPE = { commit: 1, tree: 2, blob: 3, tag: 4 } as const;
export const DELTA_TYPE = { ofs: 6, ref: 7 } as const;

export type ObjectType = keyof typeof OBJECT_TYPE;
/** As in a pack: 1 commit, 2 tree, 3 blob, 4 tag. */
export type ObjectTypeCode = (typeof OBJECT_TYPE)[ObjectType];

export function isObjectType(text: string): text is ObjectType {
  return Object.hasOwn(OBJECT_TYPE, text);
}

const TYPE_NAMES: readonly (ObjectType | undefined)[] = [undefined, "commit", "tree", "blob", "tag"];

/** @throws {CorruptPackError} Not 1 to 4. */
export function objectTypeName(code: number): ObjectType {
  const name = TYPE_NAMES[code];
  if (name === undefined) throw new CorruptPackError("unknown object type", { code });
  return name;
}

const PACK_SIGNATURE = 0x5041434b; // "PACK"

/**
 * @param bytes - At least 12.
 * @throws {CorruptPackError} Wrong signature or version.
 */
export function decodePackHeader(bytes: Uint8Array): { readonly objectCount: number } {
  if (bytes.length < PACK_HEADER_BYTES)
    throw new CorruptPackError("pack ends inside its header", { packBytes: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== PACK_SIGNATURE) throw new CorruptPackError("not a pack: wrong signature");
  const version = view.getUint32(4);
  // Version 3 is read by git too, but nothing writes it.
  if (version !== 2) throw new CorruptPackError("unsupported pack version", { version });
  return { objectCount: view.getUint32(8) };
}

export function encodePackHeader(objectCount: number): Uint8Array {
  const bytes = new Uint8Array(PACK_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PACK_SIGNATURE);
  view.setUint32(4, 2);
  view.setUint32(8, objectCount);
  return bytes;
}

/** What stands before an entry's zlib stream. */
export interface EntryHead {
  /** {@link OBJECT_TYPE} or {@link DELTA_TYPE}. */
  readonly type: number;
  /** Of the object, or of the delta instructions, once inflated. */
  readonly inflatedBytes: number;
  /** Bytes of the head: where the zlib stream begins. */
  readonly headBytes: number;
  /** OFS_DELTA: to subtract from this entry's offset. Else 0. */
  readonly baseDistanceBytes: number;
  /** REF_DELTA: where in `bytes` the base's 20-byte id begins. Else -1. */
  readonly baseIdIndex: number;
}

export function isDelta({ type }: EntryHead): boolean {
  return type === DELTA_TYPE.ofs || type === DELTA_TYPE.ref;
}

function byteAt(bytes: Uint8Array, index: number, end: number): number {
  const byte = bytes[index];
  if (byte === undefined || index >= end) throw new CorruptPackError("pack ends inside an entry's head");
  return byte;
}

/**
 * Decodes the head of the entry at `bytes[start]`; nothing at or past `end` is looked at.
 * @throws {CorruptPackError} Reserved type, a number that is cut off or above 2^53 - 1, a distance of 0.
 */
export function decodeEntryHead(bytes: Uint8Array, start: number, end: number): EntryHead {
  let index = start;
  let byte = byteAt(bytes, index++, end);
  const type = (byte >> 4) & 7;
  let inflatedBytes = byte & 15;
  // Multiplication, not `<<`: an object may exceed 2 GiB and `<<` works on 32 bits.
  for (let scale = 16; byte & 0x80; scale *= 128) {
    byte = byteAt(bytes, index++, end);
    inflatedBytes += (byte & 0x7f) * scale;
    if (index - start > 8) throw new CorruptPackError("entry size is above 2^53 - 1");
  }
  let baseDistanceBytes = 0;
  let baseIdIndex = -1;
  if (type === DELTA_TYPE.ofs) {
    const distance = decodeOfsDeltaDistance(bytes, index, end);
    baseDistanceBytes = distance.distanceBytes;
    index += distance.bytesRead;
  } else if (type === DELTA_TYPE.ref) {
    baseIdIndex = index;
    index += OBJECT_ID_BYTES;
    if (index > end) throw new CorruptPackError("pack ends inside a base id");
  } else if (type === 0 || type === 5) {
    throw new CorruptPackError("unknown object type", { type });
  }
  return { type, inflatedBytes, headBytes: index - start, baseDistanceBytes, baseIdIndex };
}

/** Source: gitformat-pack(5), "offset encoding". */
function decodeOfsDeltaDistance(
  bytes: Uint8Array,
  start: number,
  end: number,
): { distanceBytes: number; bytesRead: number } {
  let index = start;
  let byte = byteAt(bytes, index++, end);
  let distanceBytes = byte & 0x7f;
  while (byte & 0x80) {
    byte = byteAt(bytes, index++, end);
    // Each further byte adds 1 before it shifts, so a longer encoding never repeats a value of a shorter one.
    distanceBytes = (distanceBytes + 1) * 128 + (byte & 0x7f);
    if (index - start > 7) throw new CorruptPackError("delta distance is above 2^53 - 1");
  }
  if (distanceBytes === 0) throw new CorruptPackError("delta is its own base");
  return { distanceBytes, bytesRead: index - start };
}

/** Type and size, as every entry begins. */
export function encodeEntrySize(type: number, inflatedBytes: number): Uint8Array {
  const bytes: number[] = [];
  let rest = Math.floor(inflatedBytes / 16);
  bytes.push((type << 4) | (inflatedBytes % 16) | (rest > 0 ? 0x80 : 0));
  while (rest > 0) {
    const next = Math.floor(rest / 128);
    bytes.push((rest % 128) | (next > 0 ? 0x80 : 0));
    rest = next;
  }
  return Uint8Array.from(bytes);
}

/** @param distanceBytes - At least 1. */
export function encodeOfsDeltaDistance(distanceBytes: number): Uint8Array {
  const bytes = [distanceBytes % 128];
  for (let rest = Math.floor(distanceBytes / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(0x80 | (rest % 128));
  }
  return Uint8Array.from(bytes);
}

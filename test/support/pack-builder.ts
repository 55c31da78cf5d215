/** Builds packs byte by byte, so that each byte may be wrong. Source: gitformat-pack(5). */
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import { type ObjectId, objectIdAt, objectIdBytes } from "../../lib/git/object-id.ts";
import {
  DELTA_TYPE,
  encodeEntrySize,
  encodeOfsDeltaDistance,
  encodePackHeader,
  OBJECT_TYPE,
  type ObjectType,
  PACK_HEADER_BYTES,
} from "../../lib/git/pack/pack-format.ts";

/** What an entry says, or how it is compressed, where that is not what it should be. */
export interface EntryOverrides {
  readonly declaredBytes?: number;
  readonly stream?: Uint8Array;
}

export interface PackOverrides {
  readonly objectCount?: number;
  readonly version?: number;
  readonly trailer?: Uint8Array;
}

export class PackBuilder {
  readonly #pieces: Uint8Array[] = [];
  #offsetBytes = PACK_HEADER_BYTES;
  #count = 0;

  /** Where the next entry will begin. */
  get offsetBytes(): number {
    return this.#offsetBytes;
  }

  /** Adds an object that is no delta. @returns Where it begins; so do all below. */
  whole(type: ObjectType, content: Uint8Array | string, overrides: EntryOverrides = {}): number {
    return this.entry(OBJECT_TYPE[type], new Uint8Array(), Buffer.from(content), overrides);
  }

  ofsDelta(baseOffsetBytes: number, delta: Uint8Array, overrides: EntryOverrides = {}): number {
    const distance = encodeOfsDeltaDistance(this.#offsetBytes - baseOffsetBytes);
    return this.entry(DELTA_TYPE.ofs, distance, delta, overrides);
  }

  refDelta(baseId: ObjectId, delta: Uint8Array, overrides: EntryOverrides = {}): number {
    return this.entry(DELTA_TYPE.ref, objectIdBytes(baseId), delta, overrides);
  }

  /** @param base - What stands between the size and the zlib stream. */
  entry(type: number, base: Uint8Array, content: Uint8Array, overrides: EntryOverrides = {}): number {
    const { declaredBytes = content.length, stream = deflateSync(content) } = overrides;
    return this.raw(Buffer.concat([encodeEntrySize(type, declaredBytes), base, stream]));
  }

  raw(entry: Uint8Array): number {
    const offsetBytes = this.#offsetBytes;
    this.#pieces.push(entry);
    this.#offsetBytes += entry.length;
    this.#count++;
    return offsetBytes;
  }

  bytes({ objectCount = this.#count, version = 2, trailer }: PackOverrides = {}): Uint8Array {
    const header = encodePackHeader(objectCount);
    new DataView(header.buffer).setUint32(4, version);
    const body = Buffer.concat([header, ...this.#pieces]);
    return Buffer.concat([body, trailer ?? sha1(body)]);
  }
}

/** The pack with its trailer made anew, for bytes that were changed in between. */
export function withTrailer(pack: Uint8Array): Uint8Array {
  const body = pack.subarray(0, -20);
  return Buffer.concat([body, sha1(body)]);
}

function sha1(...pieces: Uint8Array[]): Uint8Array {
  const hash = createHash("sha1");
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

export function objectIdOf(type: ObjectType, content: Uint8Array | string): ObjectId {
  const bytes = Buffer.from(content);
  return objectIdAt(sha1(Buffer.from(`${type} ${bytes.length}\0`), bytes), 0);
}

/** The size at the start of a delta. */
export function encodeDeltaSize(size: number): Uint8Array {
  const bytes: number[] = [];
  let rest = size;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push(0x80 | (rest % 128));
  return Uint8Array.from([...bytes, rest]);
}

/** @param offsetBytes, lengthBytes - At most 2^32 - 1 and 2^24 - 1; a length of 0 means 65,536. */
export function copyInstruction(offsetBytes: number, lengthBytes: number): Uint8Array {
  const bytes = [0x80];
  const put = (flag: number, value: number): void => {
    if (value === 0) return;
    bytes[0] = (bytes[0] ?? 0) | flag;
    bytes.push(value);
  };
  for (let i = 0; i < 4; i++) put(1 << i, Math.floor(offsetBytes / 256 ** i) % 256);
  for (let i = 0; i < 3; i++) put(0x10 << i, Math.floor(lengthBytes / 256 ** i) % 256);
  return Uint8Array.from(bytes);
}

/** As many insert instructions as it takes. */
export function insertInstructions(content: Uint8Array | string): Uint8Array {
  const bytes = Buffer.from(content);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += 127) {
    const piece = bytes.subarray(at, at + 127);
    pieces.push(Uint8Array.of(piece.length), piece);
  }
  return Buffer.concat(pieces);
}

export function deltaOf(
  baseBytes: number,
  resultBytes: number,
  ...instructions: readonly Uint8Array[]
): Uint8Array {
  return Buffer.concat([encodeDeltaSize(baseBytes), encodeDeltaSize(resultBytes), ...instructions]);
}

/** The delta that keeps the whole base, of up to 16 MiB, and adds `suffix`. */
export function appendingDelta(baseBytes: number, suffix: Uint8Array | string): Uint8Array {
  const insert = insertInstructions(suffix);
  const resultBytes = baseBytes + Buffer.from(suffix).length;
  return deltaOf(baseBytes, resultBytes, copyInstruction(0, baseBytes), insert);
}

export interface TreeEntry {
  readonly mode: string;
  readonly name: string;
  readonly id: ObjectId;
}

/** In the order given. */
export function treeBytes(entries: readonly TreeEntry[]): Uint8Array {
  return Buffer.concat(
    entries.flatMap(({ mode, name, id }) => [Buffer.from(`${mode} ${name}\0`), objectIdBytes(id)]),
  );
}

export function commitText(treeId: string, parentIds: readonly string[] = [], message = "m\n"): string {
  const parents = parentIds.map((id) => `parent ${id}\n`).join("");
  return `tree ${treeId}\n${parents}author A <a@x> 0 +0000\ncommitter A <a@x> 0 +0000\n\n${message}`;
}

/** Bytes that do not compress, the same each time. */
export function noiseBytes(lengthBytes: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}

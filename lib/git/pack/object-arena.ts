/**
 * Objects kept one after the other in a ring of bytes: the newest overwrite the oldest. No allocation per object, and
 * a base is nearly always still there when its delta comes, because git writes the two close together.
 */
import { hash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";

/** Room before each object for "commit 1234567890123\0", which is hashed with it. */
const HEAD_ROOM_BYTES = 32;
/** Inflating needs one byte more than the object has. */
const TAIL_ROOM_BYTES = 1;

const TYPE_PREFIXES = [undefined, "commit ", "tree ", "blob ", "tag "].map((prefix) =>
  prefix === undefined ? undefined : new TextEncoder().encode(prefix),
);

/** A place in the ring that never repeats: the count of bytes ever reserved before it. */
export type ArenaPosition = number;

export class ObjectArena {
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly words: Uint32Array;
  #reservedBytes = 0;

  /** @param capacityBytes - A multiple of 4. */
  constructor(capacityBytes: number) {
    this.bytes = new Uint8Array(capacityBytes);
    this.words = new Uint32Array(this.bytes.buffer);
  }

  /** Larger objects would push everything else out. */
  get maxObjectBytes(): number {
    return this.bytes.length / 4;
  }

  /**
   * Makes room for an object, over the oldest ones.
   * @param objectBytes - At most `maxObjectBytes`.
   * @param extraBytes - Room to keep behind it.
   */
  reserve(objectBytes: number, extraBytes = 0): ArenaPosition {
    const neededBytes = HEAD_ROOM_BYTES + objectBytes + TAIL_ROOM_BYTES + extraBytes;
    const capacity = this.bytes.length;
    const leftBytes = capacity - (this.#reservedBytes % capacity);
    if (leftBytes < neededBytes) this.#reservedBytes += leftBytes;
    const position = this.#reservedBytes + HEAD_ROOM_BYTES;
    this.#reservedBytes += neededBytes;
    return position;
  }

  /** Whether the object there has not been overwritten. */
  holds(position: ArenaPosition): boolean {
    return position - HEAD_ROOM_BYTES >= this.#reservedBytes - this.bytes.length;
  }

  /** Where in `bytes` the object begins. */
  index(position: ArenaPosition): number {
    return position % this.bytes.length;
  }

  /** Hashes the object there and writes its id to `ids[idStart..]`. */
  writeObjectId(
    position: ArenaPosition,
    objectBytes: number,
    type: number,
    ids: Uint8Array,
    idStart: number,
  ): void {
    const start = this.index(position);
    const headStart = writeObjectHead(this.bytes, start, type, objectBytes);
    const digest = hash("sha1", this.bytes.subarray(headStart, start + objectBytes), "binary");
    writeDigest(digest, ids, idStart);
  }
}

/** Writes "type size\0" so that it ends before `bytes[end]`. @returns Where it begins. */
export function writeObjectHead(bytes: Uint8Array, end: number, type: number, objectBytes: number): number {
  const prefix = TYPE_PREFIXES[type];
  if (prefix === undefined) throw new CorruptPackError("unknown object type", { type });
  let index = end - 1;
  bytes[index] = 0;
  let rest = objectBytes;
  do {
    bytes[--index] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  } while (rest > 0);
  index -= prefix.length;
  bytes.set(prefix, index);
  return index;
}

/** @param digest - 20 characters of one byte each. */
export function writeDigest(digest: string, ids: Uint8Array, idStart: number): void {
  for (let i = 0; i < OBJECT_ID_BYTES; i++) ids[idStart + i] = digest.charCodeAt(i);
}

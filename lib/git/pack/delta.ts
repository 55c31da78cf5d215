/** Applies deltas. Source: gitformat-pack(5), "Deltified representation". */
import { CorruptPackError } from "../../errors.ts";

export interface DeltaSizes {
  readonly baseBytes: number;
  readonly resultBytes: number;
  /** Where the instructions begin. */
  readonly instructionsIndex: number;
}

/**
 * Decodes the two sizes at the start of a delta.
 * @throws {CorruptPackError} It ends inside them, or one is above 2^53 - 1.
 */
export function decodeDeltaSizes(delta: Uint8Array, start: number, end: number): DeltaSizes {
  let index = start;
  const decodeSize = (): number => {
    let size = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = delta[index++];
      if (byte === undefined || index > end) throw new CorruptPackError("delta ends inside its sizes");
      if (scale > 2 ** 42) throw new CorruptPackError("delta size is above 2^53 - 1");
      size += (byte & 0x7f) * scale;
      if (byte < 0x80) return size;
    }
  };
  const baseBytes = decodeSize();
  const resultBytes = decodeSize();
  return { baseBytes, resultBytes, instructionsIndex: index };
}

/** The copies that a delta makes out of its base, in the order of the target; all positions are relative. */
export class DeltaCopies {
  count = 0;
  #triples = new Uint32Array(3 * 256);

  clear(): void {
    this.count = 0;
  }

  add(targetStart: number, baseStart: number, lengthBytes: number): void {
    if ((this.count + 1) * 3 > this.#triples.length) {
      const larger = new Uint32Array(this.#triples.length * 2);
      larger.set(this.#triples);
      this.#triples = larger;
    }
    const at = this.count++ * 3;
    this.#triples[at] = targetStart;
    this.#triples[at + 1] = baseStart;
    this.#triples[at + 2] = lengthBytes;
  }

  targetStart(copy: number): number {
    return this.#triples[copy * 3] as number;
  }

  baseStart(copy: number): number {
    return this.#triples[copy * 3 + 1] as number;
  }

  targetEnd(copy: number): number {
    return (this.#triples[copy * 3] as number) + (this.#triples[copy * 3 + 2] as number);
  }
}

/** Below this, a loop beats the call to a native copy. */
const SHORT_COPY_BYTES = 48;

/** The instructions of a delta: `bytes[start..end)`. */
export interface DeltaInstructions {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** An object, or room for one: `bytes[start..start + sizeBytes)`. */
export interface ObjectBody {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly sizeBytes: number;
}

/**
 * Runs the instructions, which must fill exactly `target` out of `base`. Both may be in one array, not overlapping.
 * @param copies - Receives the copies.
 * @throws {CorruptPackError} An instruction reaches outside one of the ranges, is reserved or cut off.
 */
export function applyDelta(
  instructions: DeltaInstructions,
  base: ObjectBody,
  target: ObjectBody,
  copies?: DeltaCopies,
): void {
  copies?.clear();
  const { bytes: delta, start, end } = instructions;
  const baseEnd = base.start + base.sizeBytes;
  const targetStart = target.start;
  const targetEnd = targetStart + target.sizeBytes;
  let index = start;
  let targetIndex = targetStart;
  while (index < end) {
    const instruction = delta[index++] as number;
    let copyFrom: Uint8Array;
    let from: number;
    let lengthBytes: number;
    if (instruction & 0x80) {
      let offset = 0;
      lengthBytes = 0;
      if (instruction & 0x01) offset = delta[index++] as number;
      if (instruction & 0x02) offset |= (delta[index++] as number) << 8;
      if (instruction & 0x04) offset |= (delta[index++] as number) << 16;
      // Multiplication, not `<<`: the fourth byte reaches the sign bit.
      if (instruction & 0x08) offset += (delta[index++] as number) * 0x1000000;
      if (instruction & 0x10) lengthBytes = delta[index++] as number;
      if (instruction & 0x20) lengthBytes |= (delta[index++] as number) << 8;
      if (instruction & 0x40) lengthBytes |= (delta[index++] as number) << 16;
      if (lengthBytes === 0) lengthBytes = 0x10000;
      copyFrom = base.bytes;
      from = base.start + offset;
      if (from + lengthBytes > baseEnd)
        throw new CorruptPackError("delta copies from past the end of its base");
      copies?.add(targetIndex - targetStart, offset, lengthBytes);
    } else if (instruction > 0) {
      lengthBytes = instruction;
      copyFrom = delta;
      from = index;
      index += lengthBytes;
    } else {
      throw new CorruptPackError("delta has a reserved instruction");
    }
    if (index > end) throw new CorruptPackError("delta ends inside an instruction");
    if (targetIndex + lengthBytes > targetEnd)
      throw new CorruptPackError("delta makes more than its declared size");
    copyBytes(copyFrom, from, target.bytes, targetIndex, lengthBytes);
    targetIndex += lengthBytes;
  }
  if (targetIndex !== targetEnd) throw new CorruptPackError("delta makes less than its declared size");
}

function copyBytes(
  from: Uint8Array,
  fromStart: number,
  to: Uint8Array,
  toStart: number,
  lengthBytes: number,
): void {
  if (lengthBytes < SHORT_COPY_BYTES) {
    for (let i = 0; i < lengthBytes; i++) to[toStart + i] = from[fromStart + i] as number;
  } else if (from === to) {
    to.copyWithin(toStart, fromStart, fromStart + lengthBytes);
  } else {
    to.set(from.subarray(fromStart, fromStart + lengthBytes), toStart);
  }
}

/** Numbers so that they deflate well: differences, distances, halves. */
import { constants, deflateRaw, inflateRaw } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";
import { NONE } from "../history/pack-history.ts";
import type { WorkSlices } from "../work-slices.ts";

const TWO_TO_32 = 2 ** 32;

/** In a step of `WorkSlices`, and in one go. */
const NUMBERS_A_STEP = 50;
const NUMBERS_AT_ONCE = 50_000;

/** Each number's difference to the one before it, byte by byte. */
export async function writePlanes(columns: readonly Uint32Array[], slices: WorkSlices): Promise<Uint8Array> {
  const count = columns.reduce((sum, { length }) => sum + length, 0);
  const planes = new Uint8Array(count * 4);
  let at = 0;
  let previous = 0;
  for (const column of columns) {
    for (const number of column) {
      const difference = (number - previous) | 0;
      // Small negative numbers become small ones, too.
      const folded = (difference << 1) ^ (difference >> 31);
      for (let plane = 0; plane < 4; plane++) planes[plane * count + at] = folded >>> (plane * 8);
      previous = number;
      at++;
      if (at % NUMBERS_AT_ONCE === 0) await slices.spend(NUMBERS_AT_ONCE / NUMBERS_A_STEP);
    }
  }
  return planes;
}

export function readPlanes(planes: Uint8Array): Uint32Array {
  const count = Math.floor(planes.length / 4);
  const numbers = new Uint32Array(count);
  let previous = 0;
  for (let at = 0; at < count; at++) {
    const folded =
      (planes[at] as number) |
      ((planes[count + at] as number) << 8) |
      ((planes[2 * count + at] as number) << 16) |
      ((planes[3 * count + at] as number) << 24);
    previous = (previous + ((folded >>> 1) ^ -(folded & 1))) | 0;
    numbers[at] = previous;
  }
  return numbers;
}

/** Numbers of other objects by their distance from the own one; 0 in place of {@link NONE}. */
export function toDistances(column: Uint32Array): Uint32Array {
  return column.map((other, number) => (other === NONE ? 0 : number - other));
}

export function fromDistances(column: Uint32Array): Uint32Array {
  for (let number = 0; number < column.length; number++) {
    const distance = column[number] as number;
    column[number] = distance === 0 ? NONE : number - distance;
  }
  return column;
}

export function lowHalves(numbers: Float64Array): Uint32Array {
  return Uint32Array.from(numbers, (number) => number % TWO_TO_32);
}

export function highHalves(numbers: Float64Array): Uint32Array {
  return Uint32Array.from(numbers, (number) => Math.floor(number / TWO_TO_32));
}

// In loops: a cold process calls back slowly.
export function joinHalves(low: Uint32Array, high: Uint32Array): Float64Array {
  const numbers = new Float64Array(low);
  for (let i = 0; i < high.length; i++) {
    const half = high[i] as number;
    if (half !== 0) numbers[i] = (numbers[i] as number) + half * TWO_TO_32;
  }
  return numbers;
}

/** Clocks may say anything, so these are the numbers' bits. */
export function secondColumns(seconds: Float64Array): [low: Uint32Array, high: Uint32Array] {
  const halves = new Uint32Array(seconds.slice().buffer);
  return [halves.filter((_, i) => i % 2 === 0), halves.filter((_, i) => i % 2 === 1)];
}

export function joinSeconds(low: Uint32Array, high: Uint32Array): Float64Array {
  const halves = new Uint32Array(low.length * 2);
  for (let i = 0; i < low.length; i++) {
    halves[2 * i] = low[i] as number;
    halves[2 * i + 1] = high[i] as number;
  }
  return new Float64Array(halves.buffer);
}

export function deflated(bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) =>
    deflateRaw(bytes, { level: constants.Z_BEST_COMPRESSION }, (error, result) =>
      error === null ? resolve(result) : reject(error),
    ),
  );
}

/** @throws {CorruptPackError} The bytes are no deflated ones, or more than said. */
export function inflated(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) =>
    inflateRaw(bytes, { maxOutputLength: Math.max(1, maxBytes) }, (cause, result) =>
      cause === null
        ? resolve(result)
        : reject(new CorruptPackError("recent objects' columns are damaged", { cause })),
    ),
  );
}

/**
 * How a pack is put together out of packs that there are: bytes, and what is copied behind them, in turn. To make the pack
 * again takes no look at any object.
 *
 * Flat columns of little-endian numbers:
 *   header: "NSRE", then 32-bit numbers: version, packs, steps, bytes of literals, 0
 *   copyOffsets 8 x steps · copyLengths 8 x steps · literalEnds 4 x steps · copyPacks 4 x steps · packIds 20 x packs · literals
 */
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import type { PackNumber } from "../object-numbers.ts";
import { ChunkCollector } from "./chunk-collector.ts";
import { addRange, type OpenRange, RangeStreams, type ReadRange } from "./range-coalescing.ts";
import type { StreamBudget } from "./stream-prefetch.ts";

const SIGNATURE = 0x4552534e; // "NSRE", little-endian
export const RECIPE_VERSION = 1;
const HEADER_BYTES = 24;
const STEP_BYTES = 24;

export interface PackRecipe {
  /** SHA-1 names, in hex. */
  readonly packIds: readonly string[];
  /** Where in `literals` those end that come before each step's copy; they begin where the step before ends. */
  readonly literalEnds: Uint32Array;
  /** Places in `packIds`. */
  readonly copyPacks: Uint32Array;
  readonly copyOffsets: Float64Array;
  /** May be 0. */
  readonly copyLengths: Float64Array;
  readonly literals: Uint8Array;
}

export function encodePackRecipe(recipe: PackRecipe): Uint8Array {
  const { packIds, literalEnds, copyPacks, copyOffsets, copyLengths, literals } = recipe;
  const counts = [packIds.length, literalEnds.length, literals.length, 0];
  const header = Uint32Array.of(SIGNATURE, RECIPE_VERSION, ...counts);
  const columns = [header, copyOffsets, copyLengths, literalEnds, copyPacks];
  return Buffer.concat([
    ...columns.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
    Buffer.from(packIds.join(""), "hex"),
    literals,
  ]);
}

/** @throws {CorruptPackError} It is no recipe of this version, or makes no sense. */
export function decodePackRecipe(encoded: Uint8Array): PackRecipe {
  // A copy, aligned.
  const bytes = new Uint8Array(encoded);
  if (bytes.length < HEADER_BYTES) throw new CorruptPackError("recipe ends inside its header");
  const [signature, version, packs = 0, steps = 0, literalBytes = 0] = new Uint32Array(bytes.buffer, 0, 5);
  if (signature !== SIGNATURE || version !== RECIPE_VERSION)
    throw new CorruptPackError("no recipe of this version", { version });
  const lengthBytes = HEADER_BYTES + steps * STEP_BYTES + packs * OBJECT_ID_BYTES + literalBytes;
  if (bytes.length !== lengthBytes)
    throw new CorruptPackError("recipe has the wrong length", { lengthBytes, recipeBytes: bytes.length });
  let at = HEADER_BYTES;
  const take = (columnBytes: number): number => {
    at += columnBytes;
    return at - columnBytes;
  };
  const copyOffsets = new Float64Array(bytes.buffer, take(steps * 8), steps);
  const copyLengths = new Float64Array(bytes.buffer, take(steps * 8), steps);
  const literalEnds = new Uint32Array(bytes.buffer, take(steps * 4), steps);
  const copyPacks = new Uint32Array(bytes.buffer, take(steps * 4), steps);
  const idBytes = packs * OBJECT_ID_BYTES;
  const packIds = Buffer.from(bytes.buffer, take(idBytes), idBytes).toString("hex").match(/.{40}/g) ?? [];
  const recipe = { packIds, literalEnds, copyPacks, copyOffsets, copyLengths, literals: bytes.subarray(at) };
  assertSound(recipe);
  return recipe;
}

function assertSound(recipe: PackRecipe): void {
  const { packIds, literalEnds, copyPacks, copyOffsets, copyLengths, literals } = recipe;
  let literalEnd = 0;
  for (let step = 0; step < literalEnds.length; step++) {
    const numbers = [copyOffsets[step] as number, copyLengths[step] as number];
    const isSound =
      (literalEnds[step] as number) >= literalEnd &&
      (copyPacks[step] as number) < packIds.length &&
      numbers.every((number) => Number.isSafeInteger(number) && number >= 0);
    if (!isSound) throw new CorruptPackError("recipe has a step that makes no sense", { step });
    literalEnd = literalEnds[step] as number;
  }
  if (literalEnd !== literals.length)
    throw new CorruptPackError("recipe does not use all of its bytes", { literalEnd });
}

/** @param open - Opens a part of the pack at the same place in `packIds`. */
export async function* copyRecipe(
  { literalEnds, copyPacks, copyOffsets, copyLengths, literals }: PackRecipe,
  open: OpenRange,
  budget: StreamBudget,
): AsyncGenerator<Uint8Array, void> {
  const ranges: ReadRange[] = [];
  const places = new Uint32Array(copyOffsets.length);
  for (let step = 0; step < copyOffsets.length; step++) {
    const offsetBytes = copyOffsets[step] as number;
    const lengthBytes = copyLengths[step] as number;
    if (lengthBytes > 0)
      places[step] = addRange(ranges, copyPacks[step] as number, offsetBytes, offsetBytes + lengthBytes);
  }
  await using streams = new RangeStreams(ranges, open, budget);
  const output = new ChunkCollector();
  let literalStart = 0;
  for (let step = 0; step < copyOffsets.length; step++) {
    output.write(literals.subarray(literalStart, literalEnds[step]));
    literalStart = literalEnds[step] as number;
    let offsetBytes = copyOffsets[step] as number;
    const endBytes = offsetBytes + (copyLengths[step] as number);
    if (offsetBytes === endBytes) continue;
    const place = places[step] as number;
    const reader = streams.current(place) ?? (await streams.reader(place));
    while (offsetBytes < endBytes) {
      const bytes = reader.atHand(offsetBytes) ?? (await reader.some(offsetBytes));
      const part = bytes.subarray(0, endBytes - offsetBytes);
      output.pass(part);
      offsetBytes += part.length;
      if (output.isFull) yield* output.take();
    }
  }
  output.flush();
  yield* output.take();
}

/** A longer recipe would take as long to read as it spares. */
const MAX_LITERAL_BYTES = 4 * 1024 * 1024;
const MAX_STEPS = 200_000;
/** Less than this takes less room than a step. */
const MIN_COPY_BYTES = 32;

/** Notes what a pack is put together from while it is written. A slow client holds it. */
export class RecipeRecorder {
  #literals = new Uint8Array(64 * 1024);
  #literalBytes = 0;
  // As in a recipe.
  readonly #literalEnds: number[] = [];
  readonly #copyPacks: number[] = [];
  readonly #copyOffsets: number[] = [];
  readonly #copyLengths: number[] = [];
  #isTooLong = false;

  /** Bytes that are in no pack as they are. */
  literal(bytes: Uint8Array): void {
    if (this.#isTooLong) return;
    const neededBytes = this.#literalBytes + bytes.length;
    if (neededBytes > MAX_LITERAL_BYTES) {
      this.giveUp();
      return;
    }
    if (neededBytes > this.#literals.length) {
      const larger = new Uint8Array(Math.min(2 * neededBytes, MAX_LITERAL_BYTES));
      larger.set(this.#literals);
      this.#literals = larger;
    }
    this.#literals.set(bytes, this.#literalBytes);
    this.#literalBytes = neededBytes;
  }

  /** @param bytes - What is copied from there. */
  copy(packNumber: PackNumber, offsetBytes: number, bytes: Uint8Array): void {
    if (bytes.length < MIN_COPY_BYTES) this.literal(bytes);
    else this.copyRange(packNumber, offsetBytes, bytes.length);
  }

  copyRange(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): void {
    if (this.#isTooLong) return;
    const last = this.#literalEnds.length - 1;
    const lastBytes = this.#copyLengths[last] ?? 0;
    const continues =
      this.#copyPacks[last] === packNumber &&
      this.#literalEnds[last] === this.#literalBytes &&
      (this.#copyOffsets[last] ?? 0) + lastBytes === offsetBytes;
    if (continues) this.#copyLengths[last] = lastBytes + lengthBytes;
    else if (last + 1 === MAX_STEPS) this.giveUp();
    else this.#addStep(packNumber, offsetBytes, lengthBytes);
  }

  /** What follows cannot be recorded. */
  giveUp(): void {
    this.#isTooLong = true;
    this.#literals = new Uint8Array(0);
    for (const column of [this.#literalEnds, this.#copyPacks, this.#copyOffsets, this.#copyLengths])
      column.length = 0;
  }

  /**
   * @param packIds - By their numbers.
   * @returns `undefined` if the pack cannot be put together from few enough pieces.
   */
  recipe(packIds: readonly string[]): PackRecipe | undefined {
    if (this.#isTooLong) return undefined;
    if (this.#literalEnds.at(-1) !== this.#literalBytes) this.#addStep(0, 0, 0);
    return {
      packIds,
      literalEnds: Uint32Array.from(this.#literalEnds),
      copyPacks: Uint32Array.from(this.#copyPacks),
      copyOffsets: Float64Array.from(this.#copyOffsets),
      copyLengths: Float64Array.from(this.#copyLengths),
      literals: this.#literals.subarray(0, this.#literalBytes),
    };
  }

  #addStep(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): void {
    this.#literalEnds.push(this.#literalBytes);
    this.#copyPacks.push(packNumber);
    this.#copyOffsets.push(offsetBytes);
    this.#copyLengths.push(lengthBytes);
  }
}

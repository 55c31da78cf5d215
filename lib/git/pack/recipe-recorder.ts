/** Notes what a pack is put together from while it is written. */
import type { PackNumber } from "../object-numbers.ts";
import type { PackRecipe } from "./pack-recipe.ts";

/** A longer recipe would take as long to read as it spares. */
const MAX_LITERAL_BYTES = 4 * 1024 * 1024;
const MAX_STEPS = 200_000;
/** Less than this takes less room than a step. */
const MIN_COPY_BYTES = 32;

/** As in a recipe, with room for more. A slow client holds them. */
interface Steps {
  readonly literalEnds: Uint32Array;
  readonly copyPacks: Uint32Array;
  readonly copyOffsets: Float64Array;
  readonly copyLengths: Float64Array;
}

export class RecipeRecorder {
  #literals = new Uint8Array(64 * 1024);
  #literalBytes = 0;
  #steps = grown(undefined, 1024);
  #stepCount = 0;
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
    const last = this.#stepCount - 1;
    const { literalEnds, copyPacks, copyOffsets, copyLengths } = this.#steps;
    const lastBytes = copyLengths[last] ?? 0;
    const continues =
      last >= 0 &&
      copyPacks[last] === packNumber &&
      literalEnds[last] === this.#literalBytes &&
      (copyOffsets[last] as number) + lastBytes === offsetBytes;
    if (continues) copyLengths[last] = lastBytes + lengthBytes;
    else if (this.#stepCount === MAX_STEPS) this.giveUp();
    else this.#addStep(packNumber, offsetBytes, lengthBytes);
  }

  /** What follows cannot be recorded. */
  giveUp(): void {
    this.#isTooLong = true;
    this.#steps = grown(undefined, 0);
    this.#stepCount = 0;
    this.#literals = new Uint8Array(0);
  }

  /**
   * @param packIds - By their numbers.
   * @returns `undefined` if the pack cannot be put together from few enough pieces.
   */
  recipe(packIds: readonly string[]): PackRecipe | undefined {
    if (this.#isTooLong) return undefined;
    const isEnded = this.#steps.literalEnds[this.#stepCount - 1] === this.#literalBytes;
    if (!isEnded) this.#addStep(0, 0, 0);
    const { literalEnds, copyPacks, copyOffsets, copyLengths } = this.#steps;
    return {
      packIds,
      literalEnds: literalEnds.subarray(0, this.#stepCount),
      copyPacks: copyPacks.subarray(0, this.#stepCount),
      copyOffsets: copyOffsets.subarray(0, this.#stepCount),
      copyLengths: copyLengths.subarray(0, this.#stepCount),
      literals: this.#literals.subarray(0, this.#literalBytes),
    };
  }

  #addStep(packNumber: PackNumber, offsetBytes: number, lengthBytes: number): void {
    const step = this.#stepCount++;
    const length = this.#steps.literalEnds.length;
    // One more than the limit: what comes behind the last copy.
    if (step === length) this.#steps = grown(this.#steps, Math.min(2 * length, MAX_STEPS + 1));
    this.#steps.literalEnds[step] = this.#literalBytes;
    this.#steps.copyPacks[step] = packNumber;
    this.#steps.copyOffsets[step] = offsetBytes;
    this.#steps.copyLengths[step] = lengthBytes;
  }
}

function grown(steps: Steps | undefined, length: number): Steps {
  const larger = {
    literalEnds: new Uint32Array(length),
    copyPacks: new Uint32Array(length),
    copyOffsets: new Float64Array(length),
    copyLengths: new Float64Array(length),
  };
  if (steps === undefined) return larger;
  larger.literalEnds.set(steps.literalEnds);
  larger.copyPacks.set(steps.copyPacks);
  larger.copyOffsets.set(steps.copyOffsets);
  larger.copyLengths.set(steps.copyLengths);
  return larger;
}

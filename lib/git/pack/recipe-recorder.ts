/** Notes what a pack is put together from while it is written. */
import type { PackRecipe } from "./pack-recipe.ts";

/** A longer recipe would take as long to read as it spares. */
const MAX_LITERAL_BYTES = 4 * 1024 * 1024;
const MAX_STEPS = 200_000;
/** Less than this takes less room than a step. */
const MIN_COPY_BYTES = 32;

interface Step {
  readonly packNumber: number;
  readonly offsetBytes: number;
  lengthBytes: number;
  /** Of the literals before it. */
  readonly literalEnd: number;
}

export class RecipeRecorder {
  #literals = new Uint8Array(64 * 1024);
  #literalBytes = 0;
  #steps: Step[] = [];
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
      const larger = new Uint8Array(2 * neededBytes);
      larger.set(this.#literals);
      this.#literals = larger;
    }
    this.#literals.set(bytes, this.#literalBytes);
    this.#literalBytes = neededBytes;
  }

  /** @param bytes - What is copied from there. */
  copy(packNumber: number, offsetBytes: number, bytes: Uint8Array): void {
    if (bytes.length < MIN_COPY_BYTES) this.literal(bytes);
    else this.copyRange(packNumber, offsetBytes, bytes.length);
  }

  copyRange(packNumber: number, offsetBytes: number, lengthBytes: number): void {
    if (this.#isTooLong) return;
    const last = this.#steps.at(-1);
    const continues =
      last?.packNumber === packNumber &&
      last.literalEnd === this.#literalBytes &&
      last.offsetBytes + last.lengthBytes === offsetBytes;
    if (continues) last.lengthBytes += lengthBytes;
    else this.#steps.push({ packNumber, offsetBytes, lengthBytes, literalEnd: this.#literalBytes });
    if (this.#steps.length > MAX_STEPS) this.giveUp();
  }

  /** What follows cannot be told. */
  giveUp(): void {
    this.#isTooLong = true;
    this.#steps = [];
    this.#literals = new Uint8Array(0);
  }

  /**
   * @param packIds - By their numbers.
   * @returns `undefined` if the pack cannot be put together from few enough pieces.
   */
  recipe(packIds: readonly string[]): PackRecipe | undefined {
    if (this.#isTooLong) return undefined;
    const steps = this.#steps;
    const ending = { packNumber: 0, offsetBytes: 0, lengthBytes: 0, literalEnd: this.#literalBytes };
    if (steps.at(-1)?.literalEnd !== this.#literalBytes) steps.push(ending);
    return {
      packIds,
      literalEnds: Uint32Array.from(steps, ({ literalEnd }) => literalEnd),
      copyPacks: Uint32Array.from(steps, ({ packNumber }) => packNumber),
      copyOffsets: Float64Array.from(steps, ({ offsetBytes }) => offsetBytes),
      copyLengths: Float64Array.from(steps, ({ lengthBytes }) => lengthBytes),
      literals: this.#literals.subarray(0, this.#literalBytes),
    };
  }
}

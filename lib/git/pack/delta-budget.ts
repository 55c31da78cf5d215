/** What new deltas may cost in one pack, so that an answer is made in a bounded time. */

/**
 * What may be read and compared to make whole objects deltas of what the client has: some 30 ms. Past it they
 * are copied, which costs nothing but the client's bandwidth.
 */
const MAX_THINNED_BYTES = 4 * 1024 * 1024;
/** The same for objects that cannot be copied: some twenty seconds. Past it they are written whole. */
const MAX_REBASED_BYTES = 4 * 1024 * 1024 * 1024;

export class DeltaBudget {
  #leftThinnedBytes = MAX_THINNED_BYTES;
  #leftRebasedBytes = MAX_REBASED_BYTES;

  /** Whether a whole object may still be made a delta. */
  get allowsThinning(): boolean {
    return this.#leftThinnedBytes > 0;
  }

  /**
   * Takes it from what is left.
   * @param canBeCopied - Whether the object could be written without a new delta.
   * @returns Whether it is enough.
   */
  take(costBytes: number, canBeCopied: boolean): boolean {
    if (canBeCopied) {
      this.#leftThinnedBytes -= costBytes;
      return this.#leftThinnedBytes >= 0;
    }
    this.#leftRebasedBytes -= costBytes;
    return this.#leftRebasedBytes >= 0;
  }
}

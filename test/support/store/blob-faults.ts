/** What may go wrong in a store that simulates it: failures before and after the deed, lost races, delays. */

export interface BlobCall {
  readonly kind: "read" | "write" | "part" | "delete" | "list";
  readonly key: string;
}

/**
 * What happens to a call instead. `"lose-race"` lets another writer be first, if the call has a condition. `landsAfterCalls`
 * makes a write conflict with a try of its own that is still under way, and that lands so many calls later, if its
 * condition holds by then.
 */
export type CallFault = "lose-race" | { readonly landsAfterCalls: number };

/** Called around each call of a store. Both may wait, to delay it, and may throw, to fail it. */
export interface BlobFaults {
  /** Throwing here fails a call that did nothing. */
  readonly before?: (call: BlobCall) => Promise<CallFault | undefined> | CallFault | undefined;
  /** Throwing here loses the answer of a call that was carried out. */
  readonly after?: (call: BlobCall) => Promise<void> | void;
}

export const NO_FAULTS: BlobFaults = {};

/** Each a probability from 0 to 1; all 0 unless given. */
export interface FaultRates {
  readonly failBefore?: number;
  readonly failAfter?: number;
  readonly loseRace?: number;
  readonly maxDelayMs?: number;
}

/** Thrown for a simulated failure, so that tests can distinguish it from a real one. */
export class SimulatedStoreError extends Error {
  override readonly name = "SimulatedStoreError";
}

/** Random faults that are the same for the same seed and the same calls. */
export function seededFaults(seed: number, rates: FaultRates): BlobFaults {
  const { failBefore = 0, failAfter = 0, loseRace = 0, maxDelayMs = 0 } = rates;
  const random = seededRandom(seed);
  return {
    before: async ({ kind, key }) => {
      const [delay, failure, race] = [random(), random(), random()];
      if (maxDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, delay * maxDelayMs));
      if (failure < failBefore) throw new SimulatedStoreError(`${kind} of ${key} failed before it was done`);
      return race < loseRace ? "lose-race" : undefined;
    },
    after: ({ kind, key }) => {
      if (random() < failAfter) throw new SimulatedStoreError(`answer to ${kind} of ${key} was lost`);
    },
  };
}

/** Mulberry32: small and good enough to pick faults. @returns Numbers from 0 up to 1. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

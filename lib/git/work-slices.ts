/**
 * Cuts long work into slices, between which the event loop serves others. Awaits alone do not: what is in memory resolves in
 * microtasks, which run before any other request.
 */
import { assertNotStopped } from "../errors.ts";

/** A step is about a microsecond, so a slice is some 10 ms. */
const SLICE_STEPS = 10_000;

export interface WorkSlicesOptions {
  /** Ends the work, at the end of a slice. */
  readonly signal?: AbortSignal | undefined;
  readonly sliceSteps?: number;
  /** Resolves after others had their turn. */
  readonly yieldTurn?: () => Promise<void>;
}

export class WorkSlices {
  readonly #signal: AbortSignal | undefined;
  readonly #sliceSteps: number;
  readonly #yieldTurn: () => Promise<void>;
  #leftSteps: number;

  constructor({ signal, sliceSteps = SLICE_STEPS, yieldTurn = nextTurn }: WorkSlicesOptions = {}) {
    this.#signal = signal;
    this.#sliceSteps = sliceSteps;
    this.#yieldTurn = yieldTurn;
    this.#leftSteps = sliceSteps;
  }

  /**
   * Counts work. @returns What to await before any more, when the slice is used up; it rejects with a {@link StoppedError} when
   * the signal has aborted.
   */
  spend(steps: number): Promise<void> | undefined {
    this.#leftSteps -= steps;
    return this.#leftSteps > 0 ? undefined : this.#pause();
  }

  async #pause(): Promise<void> {
    assertNotStopped(this.#signal);
    this.#leftSteps = this.#sliceSteps;
    await this.#yieldTurn();
    assertNotStopped(this.#signal);
  }
}

/** The event loop is the process's, so its turns are, too. */
const waiting: (() => void)[] = [];

/**
 * Resolves after the event loop has served others. It releases one waiter a turn: released together, the slices of many requests
 * would be one long block.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(releaseNext);
  });
}

function releaseNext(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(releaseNext);
}

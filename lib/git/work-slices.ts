/**
 * Cuts long work into slices, between which the event loop serves others. Awaits alone do not: what is in memory resolves in
 * microtasks, which run before any other request. All work of the process counts together: the short pieces of many requests would
 * be one long block.
 */
import { assertNotStopped } from "../errors.ts";

/** A step is about a microsecond. */
const TURN_STEPS = 5_000;
/** Where steps take longer than they should. */
const TURN_MS = 5;
/** How often the clock is read. */
const CLOCK_STEPS = 500;
/** Work that has paused less often goes first: a small request does not wait for all slices of large ones. */
const MAX_SHORT_PAUSES = 2;
/** Then one of the others continues. */
const MAX_SHORT_IN_A_ROW = 3;

/** The event loop's turns. */
export interface Turns {
  /** Counts work. @returns Whether no more should be done in this turn. */
  spend(steps: number): boolean;
  /** Resolves in a later turn. @param pauseCount - How often this work has paused before. */
  next(pauseCount: number): Promise<void>;
}

export class EventLoopTurns implements Turns {
  #steps = 0;
  #clockSteps = 0;
  #startedMs: number | undefined;
  #isEndScheduled = false;
  readonly #short: (() => void)[] = [];
  readonly #long: (() => void)[] = [];
  #shortInARow = 0;

  spend(steps: number): boolean {
    this.#scheduleEnd();
    this.#startedMs ??= performance.now();
    this.#steps += steps;
    if (this.#steps >= TURN_STEPS) return true;
    if (this.#steps < this.#clockSteps + CLOCK_STEPS) return false;
    this.#clockSteps = this.#steps;
    if (performance.now() < this.#startedMs + TURN_MS) return false;
    this.#steps = TURN_STEPS;
    return true;
  }

  async next(pauseCount: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    (pauseCount < MAX_SHORT_PAUSES ? this.#short : this.#long).push(resolve);
    this.#scheduleEnd();
    return promise;
  }

  #scheduleEnd(): void {
    if (this.#isEndScheduled) return;
    this.#isEndScheduled = true;
    setImmediate(() => this.#end());
  }

  /** One waiter continues a turn: released together, their slices would be one long block. */
  #end(): void {
    this.#isEndScheduled = false;
    this.#steps = 0;
    this.#clockSteps = 0;
    this.#startedMs = undefined;
    const isLongDue = this.#short.length === 0 || this.#shortInARow >= MAX_SHORT_IN_A_ROW;
    const long = isLongDue ? this.#long.shift() : undefined;
    this.#shortInARow = long === undefined ? this.#shortInARow + 1 : 0;
    (long ?? this.#short.shift())?.();
    if (this.#short.length + this.#long.length > 0) this.#scheduleEnd();
  }
}

/** The event loop is the process's, so its turns are, too. */
const processTurns = new EventLoopTurns();

export interface WorkSlicesOptions {
  /** Ends the work, at the end of a slice. */
  readonly signal?: AbortSignal | undefined;
  readonly turns?: Turns;
}

export class WorkSlices {
  readonly #signal: AbortSignal | undefined;
  readonly #turns: Turns;
  #pauseCount = 0;

  constructor({ signal, turns = processTurns }: WorkSlicesOptions = {}) {
    this.#signal = signal;
    this.#turns = turns;
  }

  /**
   * Counts work. @returns What to await before any more, when the slice is used up; it rejects with a {@link StoppedError} when
   * the signal has aborted.
   */
  spend(steps: number): Promise<void> | undefined {
    return this.#turns.spend(steps) ? this.#pause() : undefined;
  }

  async #pause(): Promise<void> {
    assertNotStopped(this.#signal);
    await this.#turns.next(this.#pauseCount++);
    assertNotStopped(this.#signal);
  }
}

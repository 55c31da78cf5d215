/**
 * Cuts long work into slices, between which the event loop serves others. Awaits alone do not: what is in memory resolves in
 * microtasks, which run before any other request. All work of the process counts together: the short pieces of many requests would
 * be one long block.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { assertNotStopped } from "../errors.ts";

/** A step is about a microsecond. */
const TURN_STEPS = 5_000;
/** Where steps take longer than they should. */
const TURN_MS = 5;
/** How often the clock is read. */
const CLOCK_STEPS = 500;
/** Work of one owner that has paused less often goes first: a small request does not wait for all slices of large ones. */
const MAX_SHORT_PAUSES = 2;
/** So many turns go to the owner that has had fewest; then one to whose work has waited longest. */
const MAX_FEWEST_IN_A_ROW = 3;
/** After so many turns, what owners have had counts half: about 5 s. */
const HALVED_EVERY_TURNS = 1_000;

/** To whom work counts that is begun inside: a caller, whose long work leaves turns to others. */
export const workOwner = new AsyncLocalStorage<string>();

/** The event loop's turns. */
export interface Turns {
  /** Counts work. @returns Whether no more should be done in this turn. */
  spend(steps: number): boolean;
  /** Resolves in a later turn. */
  next(work: PausedWork): Promise<void>;
}

export interface PausedWork {
  /** How often it has paused before. */
  readonly pauseCount: number;
  /** Absent: its own, and no other work's. */
  readonly owner?: string | undefined;
}

interface Owner {
  /** Lately. */
  turns: number;
  readonly short: (() => void)[];
  readonly long: (() => void)[];
}

export class EventLoopTurns implements Turns {
  #steps = 0;
  #clockSteps = 0;
  #startedMs: number | undefined;
  #isEndScheduled = false;
  /** Those whose work waits, the one whose turn is the longest ago first. */
  readonly #waiting = new Map<string | PausedWork, Owner>();
  /** What owners have had, whether their work waits or not. */
  readonly #had = new Map<string | PausedWork, number>();
  #turnCount = 0;

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

  async next(work: PausedWork): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const key = work.owner ?? work;
    const owner = this.#waiting.get(key) ?? {
      turns: this.#had.get(key) ?? (work.owner === undefined ? work.pauseCount : 0),
      short: [],
      long: [],
    };
    this.#waiting.set(key, owner);
    (work.pauseCount < MAX_SHORT_PAUSES ? owner.short : owner.long).push(resolve);
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
    this.#takeNext()?.();
    if (this.#waiting.size > 0) this.#scheduleEnd();
  }

  #takeNext(): (() => void) | undefined {
    const [oldest] = this.#waiting;
    if (oldest === undefined) return undefined;
    this.#turnCount += 1;
    if (this.#turnCount % HALVED_EVERY_TURNS === 0) this.#halve();
    let [key, owner] = oldest;
    if (this.#turnCount % (MAX_FEWEST_IN_A_ROW + 1) !== 0)
      for (const [otherKey, other] of this.#waiting)
        if (other.turns < owner.turns) [key, owner] = [otherKey, other];
    owner.turns += 1;
    if (typeof key === "string") this.#had.set(key, owner.turns);
    const resume = owner.short.shift() ?? owner.long.shift();
    this.#waiting.delete(key);
    if (owner.short.length + owner.long.length > 0) this.#waiting.set(key, owner);
    return resume;
  }

  #halve(): void {
    for (const [key, turns] of this.#had) {
      if (turns > 1) this.#had.set(key, Math.floor(turns / 2));
      else this.#had.delete(key);
    }
    for (const owner of this.#waiting.values()) owner.turns = Math.floor(owner.turns / 2);
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
  readonly #work: { pauseCount: number; readonly owner: string | undefined };

  constructor({ signal, turns = processTurns }: WorkSlicesOptions = {}) {
    this.#signal = signal;
    this.#turns = turns;
    this.#work = { pauseCount: 0, owner: workOwner.getStore() };
  }

  /** Counts work. @returns Whether the slice is used up: {@link pause} before any more. */
  isDue(steps: number): boolean {
    return this.#turns.spend(steps);
  }

  /** @throws {StoppedError} The signal has aborted. */
  async pause(): Promise<void> {
    assertNotStopped(this.#signal);
    const paused = this.#turns.next(this.#work);
    this.#work.pauseCount += 1;
    await paused;
    assertNotStopped(this.#signal);
  }

  /** Both. @returns What to await, if anything: an `await` of nothing takes a turn of its own, so loops ask {@link isDue}. */
  spend(steps: number): Promise<void> | undefined {
    return this.isDue(steps) ? this.pause() : undefined;
  }
}

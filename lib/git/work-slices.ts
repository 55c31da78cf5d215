/**
 * Cuts long work into slices, between which the event loop serves others. Awaits alone do not: what is in memory resolves in
 * microtasks, which run before any other request. All work of the process counts together: the short pieces of many requests would
 * be one long block.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { assertNotStopped } from "../errors.ts";

/** Of all owners together. A step is about a microsecond. */
const TURN_STEPS = 5_000;
/** Where steps take longer than they should. */
const TURN_MS = 5;
/** How often the clock is read. */
const CLOCK_STEPS = 500;
/** Of one owner before its next turn: another one that uses little then finds some of a turn left, and does not wait at all. */
const OWNER_STEPS = 2_000;
/** Work that has paused less often is short so far: of one owner it goes first. */
const MAX_SHORT_PAUSES = 4;
/**
 * Of so many turns in a row one is for short work alone, if any waits: where many owners are busy with long work, a turn of each of them
 * is a long time for a request that needs one or two.
 */
const SHORT_WORK_EVERY = 2;
/** So many turns an owner may have before others that have waited all the time, after it has had none for as long. */
const MAX_CREDIT_TURNS = 8;
/** A turn costs what is done in it, as a part of `OWNER_STEPS`, and this: small requests are first, whatever others do. */
const TURN_COST = 0.2;
/** The same of work that has paused so often. */
const LONG_PAUSES = 20;
const LONG_TURN_COST = 2;
/** So many turns go to the owner with fewest; then one to whose work has waited longest: ever new owners keep none out. */
const MAX_FEWEST_IN_A_ROW = 3;
/** About 200 bytes each. Of more, those whose work does not wait are forgotten: each has credit again. */
const MAX_OWNERS = 10_000;

/** To whom work counts that is begun inside: a caller, whose long work leaves turns to others. */
export const workOwner = new AsyncLocalStorage<string>();

/** The event loop's turns. */
export interface Turns {
  /** @param name - Absent: of one work only. */
  ownerOf(name: string | undefined): TurnOwner;
  /** Counts work. @returns Whether no more should be done in this turn. */
  spend(steps: number, owner: TurnOwner): boolean;
  /** Resolves in a later turn. @param pauseCount - How often this work has paused before. */
  next(owner: TurnOwner, pauseCount: number): Promise<void>;
}

interface Paused {
  readonly pauseCount: number;
  readonly resume: () => void;
}

export class TurnOwner {
  /** `undefined`: of one work only. */
  readonly name: string | undefined;
  /** Since its last turn. */
  steps = 0;
  /** What its turns have cost, on the scale of `EventLoopTurns`. */
  cost: number;
  readonly short: Paused[] = [];
  readonly long: Paused[] = [];

  constructor(name?: string, cost = 0) {
    this.name = name;
    this.cost = cost;
  }
}

/**
 * Owners whose work waits have turns of equal cost. One that is new has had as many as the others; one that comes back is up to
 * `MAX_CREDIT_TURNS` ahead of them.
 */
export class EventLoopTurns implements Turns {
  #steps = 0;
  #clockSteps = 0;
  #startedMs: number | undefined;
  #isEndScheduled = false;
  readonly #owners = new Map<string, TurnOwner>();
  /** Those whose work waits, the one whose turn is the longest ago first. */
  readonly #waiting = new Set<TurnOwner>();
  /** Those of them with short work. */
  readonly #waitingShort = new Set<TurnOwner>();
  /** What the owner has had that is the furthest behind, of those that wait. */
  #leastCost = 0;
  #turnCount = 0;
  /** Without those for short work alone. */
  #turnCountOfAll = 0;

  ownerOf(name: string | undefined): TurnOwner {
    if (name === undefined) return new TurnOwner(name, this.#leastCost);
    const known = this.#owners.get(name);
    if (known !== undefined) return known;
    if (this.#owners.size >= MAX_OWNERS)
      for (const [key, owner] of this.#owners) if (!this.#waiting.has(owner)) this.#owners.delete(key);
    const owner = new TurnOwner(name, this.#leastCost);
    this.#owners.set(name, owner);
    return owner;
  }

  spend(steps: number, owner: TurnOwner): boolean {
    this.#scheduleEnd();
    this.#startedMs ??= performance.now();
    this.#steps += steps;
    owner.steps += steps;
    owner.cost += steps / OWNER_STEPS;
    if (this.#steps >= TURN_STEPS || owner.steps >= OWNER_STEPS) return true;
    if (this.#steps < this.#clockSteps + CLOCK_STEPS) return false;
    this.#clockSteps = this.#steps;
    if (performance.now() < this.#startedMs + TURN_MS) return false;
    this.#steps = TURN_STEPS;
    owner.cost += 1;
    return true;
  }

  async next(owner: TurnOwner, pauseCount: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (!this.#waiting.has(owner)) {
      this.#waiting.add(owner);
      owner.cost = Math.max(owner.cost, this.#leastCost - MAX_CREDIT_TURNS);
    }
    const isShort = pauseCount < MAX_SHORT_PAUSES;
    (isShort ? owner.short : owner.long).push({ pauseCount, resume: resolve });
    if (isShort) this.#waitingShort.add(owner);
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
    this.#takeNext()?.resume();
    if (this.#waiting.size > 0) this.#scheduleEnd();
  }

  #takeNext(): Paused | undefined {
    this.#turnCount += 1;
    const owner =
      this.#turnCount % SHORT_WORK_EVERY === 0 && this.#waitingShort.size > 0
        ? ownerWithFewest(this.#waitingShort)
        : this.#nextOfAll();
    if (owner === undefined) return undefined;
    const paused = owner.short.shift() ?? owner.long.shift();
    owner.cost += (paused?.pauseCount ?? 0) < LONG_PAUSES ? TURN_COST : LONG_TURN_COST;
    owner.steps = 0;
    this.#waiting.delete(owner);
    this.#waitingShort.delete(owner);
    if (owner.short.length + owner.long.length > 0) this.#waiting.add(owner);
    if (owner.short.length > 0) this.#waitingShort.add(owner);
    return paused;
  }

  #nextOfAll(): TurnOwner | undefined {
    this.#turnCountOfAll += 1;
    if (this.#turnCountOfAll % (MAX_FEWEST_IN_A_ROW + 1) === 0) return firstOf(this.#waiting);
    const owner = ownerWithFewest(this.#waiting);
    if (owner !== undefined) this.#leastCost = Math.max(this.#leastCost, owner.cost);
    return owner;
  }
}

function firstOf(owners: ReadonlySet<TurnOwner>): TurnOwner | undefined {
  const [owner] = owners;
  return owner;
}

/** Of several, the one that has waited longest. */
function ownerWithFewest(owners: ReadonlySet<TurnOwner>): TurnOwner | undefined {
  let [fewest] = owners;
  for (const owner of owners) if (owner.cost < (fewest?.cost ?? 0)) fewest = owner;
  return fewest;
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
  readonly #owner: TurnOwner;
  #pauseCount = 0;

  constructor({ signal, turns = processTurns }: WorkSlicesOptions = {}) {
    this.#signal = signal;
    this.#turns = turns;
    this.#owner = turns.ownerOf(workOwner.getStore());
  }

  /** Counts work. @returns Whether the slice is used up: {@link pause} before any more. */
  isDue(steps: number): boolean {
    return this.#turns.spend(steps, this.#owner);
  }

  /** @throws {StoppedError} The signal has aborted. */
  async pause(): Promise<void> {
    assertNotStopped(this.#signal);
    const paused = this.#turns.next(this.#owner, this.#pauseCount);
    this.#pauseCount += 1;
    await paused;
    assertNotStopped(this.#signal);
  }

  /** Both. @returns What to await, if anything: an `await` of nothing takes a turn of its own, so loops ask {@link isDue}. */
  spend(steps: number): Promise<void> | undefined {
    return this.isDue(steps) ? this.pause() : undefined;
  }
}

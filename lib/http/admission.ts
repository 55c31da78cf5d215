/**
 * Lets so many tasks run at a time, of each caller and in all. Further ones wait in turn, one caller after the other, so a caller
 * with many requests delays only its own.
 */
import { OverloadedError } from "../errors.ts";

export interface AdmissionLimits {
  /** Tasks, or what they weigh together. One that weighs more runs when no other does. */
  readonly maxRunning: number;
  /**
   * A part of `maxRunning` for tasks of at most `maxWeight` whose caller has none that runs. They take it when the rest is used up; for
   * the rest all callers take turns alike, so ever new callers do not keep out one that has a task that runs.
   */
  readonly reserve?: { readonly weight: number; readonly maxWeight: number };
  readonly maxRunningOfCaller: number;
  /**
   * The limit of a caller, as a share of what is free: the more others use, the lower it is, so a new caller always finds some free.
   * The first task of a caller may use all that is free.
   */
  readonly shareOfFree?: number;
  /** While it says so, only tasks that may use the reserve begin beside others. */
  readonly isShort?: () => boolean;
  readonly maxWaiting: number;
  /** While others wait too. */
  readonly maxWaitingOfCaller: number;
  readonly maxWaitMs: number;
  /** Called for the next task of each caller that waits, at once and then every second: may end tasks that run. */
  readonly makeRoom?: (needed: NeededRoom) => void;
}

export interface NeededRoom {
  readonly weight: number;
  /** Who waits. */
  readonly caller: string;
  /** The caller or group whose own limit the task waits for; `undefined`: others use up what there is. */
  readonly onlyOf: string | undefined;
}

/** Beside its caller, to whom a task counts: it runs only while each of them is within its limit. */
export interface TaskGroup {
  readonly key: string;
  readonly maxRunning: number;
  readonly shareOfFree?: number;
  /** For tasks that may use the reserve. Default: the same. */
  readonly shareOfFreeWithReserve?: number;
}

export interface WeighedTask {
  readonly weight: number;
  readonly groups?: readonly TaskGroup[];
}

const MAKE_ROOM_EVERY_MS = 1_000;
/** What a client is asked to wait that cannot be taken now. */
const RETRY_AFTER_SECONDS = 10;

/** Of a task that runs. */
export interface RunningTask {
  /** May be called more than once. */
  end(): void;
  /** From now on it weighs this. More than before is counted, not waited for. */
  resizeTo(weight: number): void;
}

interface Place {
  weight: number;
  readonly isReserved: boolean;
}

interface Waiter {
  readonly task: Required<WeighedTask>;
  readonly start: (place: Place) => void;
  readonly refuse: (error: unknown) => void;
}

interface Caller {
  readonly name: string;
  running: number;
  readonly waiting: Set<Waiter>;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  /** Those that run or wait. */
  readonly #callers = new Map<string, Caller>();
  /** Those that wait, in the order of their next turns. */
  readonly #queue = new Set<Caller>();
  readonly #runningOfGroup = new Map<string, number>();
  #makingRoom: NodeJS.Timeout | undefined;
  #running = 0;
  /** Of them, in the reserve. */
  #reserved = 0;
  #waiting = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** How many callers are remembered. */
  get callerCount(): number {
    return this.#callers.size;
  }

  /**
   * Waits for a turn.
   * @returns Ends it; may be called more than once.
   * @throws {OverloadedError} Too many wait already, or the wait was too long. @throws The signal's reason.
   */
  async enter(caller: string, signal: AbortSignal): Promise<() => void> {
    return (await this.enterWith(caller, signal, { weight: 1 })).end;
  }

  /** The same for a task of some weight. */
  async enterWith(
    caller: string,
    signal: AbortSignal,
    { weight, groups = [] }: WeighedTask,
  ): Promise<RunningTask> {
    signal.throwIfAborted();
    const entry = this.#callers.get(caller) ?? { name: caller, running: 0, waiting: new Set() };
    this.#callers.set(caller, entry);
    const forget = () => {
      if (entry.running === 0 && entry.waiting.size === 0 && this.#callers.get(caller) === entry)
        this.#callers.delete(caller);
    };
    const task = { weight, groups };
    let place: Place | undefined;
    try {
      if (entry.waiting.size === 0) place = this.#takePlace(entry, task);
      place ??= await this.#wait(entry, task, signal);
    } catch (error) {
      forget();
      throw error;
    }
    const held = place;
    let hasEnded = false;
    const resizeTo = (newWeight: number) => {
      if (hasEnded) return;
      this.#resize(entry, groups, held, newWeight);
      this.#startNext();
      forget();
    };
    const end = () => {
      resizeTo(0);
      hasEnded = true;
    };
    return { resizeTo, end };
  }

  #takePlace(entry: Caller, task: Required<WeighedTask>): Place | undefined {
    if (this.#limitedGroup(entry, task) !== undefined) return undefined;
    const mayUseReserve = this.#mayUseReserve(entry, task);
    const isShort = this.#running > 0 && this.#limits.isShort?.() === true;
    if (isShort && !mayUseReserve) return undefined;
    const isReserved = this.#running > 0 && this.#lackingOfRest(task) > 0;
    if (isReserved && (!mayUseReserve || this.#lackingOfReserve(task) > 0)) return undefined;
    const place: Place = { weight: 0, isReserved };
    this.#resize(entry, task.groups, place, task.weight);
    return place;
  }

  /** How much more would have to be free. */
  #lacking(entry: Caller, task: WeighedTask): number {
    const ofRest = this.#lackingOfRest(task);
    return this.#mayUseReserve(entry, task) ? Math.min(ofRest, this.#lackingOfReserve(task)) : ofRest;
  }

  #lackingOfRest({ weight }: WeighedTask): number {
    const { maxRunning, reserve } = this.#limits;
    return weight + this.#running - this.#reserved - (maxRunning - (reserve?.weight ?? 0));
  }

  /** A task takes no more of it than it leaves: large ones leave room to small ones. */
  #lackingOfReserve({ weight }: WeighedTask): number {
    const { maxRunning, reserve } = this.#limits;
    return weight + Math.max(weight + this.#reserved - (reserve?.weight ?? 0), this.#running - maxRunning);
  }

  #mayUseReserve({ running }: Caller, { weight }: WeighedTask): boolean {
    return running === 0 && weight <= (this.#limits.reserve?.maxWeight ?? 0);
  }

  /** @returns The caller, or the group of the task, that runs too much already. */
  #limitedGroup(entry: Caller, task: Required<WeighedTask>): string | undefined {
    const { weight, groups } = task;
    const { maxRunning, maxRunningOfCaller, shareOfFree } = this.#limits;
    const free = maxRunning - this.#running;
    const ofCaller =
      shareOfFree === undefined ? maxRunningOfCaller : Math.min(maxRunningOfCaller, free * shareOfFree);
    if (entry.running > 0 && entry.running + weight > ofCaller) return entry.name;
    const isReserved = this.#mayUseReserve(entry, task);
    return groups.find(({ key, ...group }) => {
      const ofGroup = this.#runningOfGroup.get(key) ?? 0;
      const share = (isReserved && group.shareOfFreeWithReserve) || group.shareOfFree;
      const ofFree = share === undefined ? Number.POSITIVE_INFINITY : free * share;
      return ofGroup > 0 && ofGroup + weight > Math.min(group.maxRunning, ofFree);
    })?.key;
  }

  #resize(entry: Caller, groups: readonly TaskGroup[], place: Place, weight: number): void {
    const added = weight - place.weight;
    place.weight = weight;
    this.#running += added;
    if (place.isReserved) this.#reserved += added;
    entry.running += added;
    for (const { key } of groups) {
      const ofGroup = (this.#runningOfGroup.get(key) ?? 0) + added;
      if (ofGroup > 0) this.#runningOfGroup.set(key, ofGroup);
      else this.#runningOfGroup.delete(key);
    }
  }

  async #wait(entry: Caller, task: Required<WeighedTask>, signal: AbortSignal): Promise<Place> {
    this.#leaveRoomFor(entry);
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const waiter: Waiter = { task, start: resolve, refuse: reject };
    const onAbort = () => this.#refuse(entry, waiter, signal.reason);
    const timer = setTimeout(() => {
      const isOwnLimit = this.#limitedGroup(entry, task) !== undefined;
      this.#refuse(entry, waiter, isOwnLimit ? tooMany("of yours") : overloaded());
    }, this.#limits.maxWaitMs);
    this.#waiting += 1;
    entry.waiting.add(waiter);
    this.#queue.add(entry);
    signal.addEventListener("abort", onAbort, { once: true });
    if (this.#makingRoom === undefined) this.#makeRoom();
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      clearTimeout(timer);
    }
  }

  #makeRoom(): void {
    const { makeRoom } = this.#limits;
    this.#makingRoom = undefined;
    if (makeRoom === undefined || this.#waiting === 0) return;
    for (const entry of [...this.#queue]) {
      const [waiter] = entry.waiting;
      if (waiter === undefined) continue;
      const { task } = waiter;
      const onlyOf = this.#limitedGroup(entry, task);
      const lacking = Math.max(this.#lacking(entry, task), this.#limits.isShort?.() ? task.weight : 0);
      makeRoom({ weight: onlyOf === undefined ? lacking : task.weight, caller: entry.name, onlyOf });
    }
    // What was short may have been freed by others.
    this.#startNext();
    this.#makingRoom = setTimeout(() => this.#makeRoom(), MAKE_ROOM_EVERY_MS).unref();
  }

  /** Alone, a caller may fill the queue; when another one comes, what is above its share leaves, newest first. */
  #leaveRoomFor({ waiting }: Caller): void {
    const { maxWaiting, maxWaitingOfCaller } = this.#limits;
    const isAlone = this.#waiting === waiting.size;
    if (waiting.size >= (isAlone ? maxWaiting : maxWaitingOfCaller)) throw tooMany("of yours");
    if (this.#waiting < maxWaiting) return;
    for (const other of this.#queue) {
      if (other.waiting.size <= maxWaitingOfCaller) continue;
      const newest = [...other.waiting].at(-1);
      if (newest === undefined) continue;
      this.#refuse(other, newest, tooMany("of yours"));
      return;
    }
    throw overloaded();
  }

  #refuse(entry: Caller, waiter: Waiter, error: unknown): void {
    this.#leave(entry, waiter);
    waiter.refuse(error);
  }

  #leave(entry: Caller, waiter: Waiter): void {
    if (!entry.waiting.delete(waiter)) return;
    this.#waiting -= 1;
    if (entry.waiting.size === 0) this.#queue.delete(entry);
  }

  #startNext(): void {
    for (let hasStarted = true; hasStarted; ) hasStarted = this.#startOne();
  }

  /** The next for whom there is room, in the order of their turns. */
  #startOne(): boolean {
    for (const entry of this.#queue) {
      const [waiter] = entry.waiting;
      const place = waiter && this.#takePlace(entry, waiter.task);
      if (waiter === undefined || place === undefined) continue;
      this.#queue.delete(entry);
      this.#queue.add(entry);
      this.#leave(entry, waiter);
      waiter.start(place);
      return true;
    }
    return false;
  }
}

export function tooMany(whose: string): OverloadedError {
  return new OverloadedError(`too many requests ${whose} at once, try again in ${RETRY_AFTER_SECONDS} s`, {
    status: 429,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

export function overloaded(): OverloadedError {
  return new OverloadedError(`the mirror is busy, try again in ${RETRY_AFTER_SECONDS} s`, {
    status: 503,
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  });
}

/**
 * Lets so many tasks run at a time, of each caller and in all. Further ones wait in turn, one caller after the other, so a caller
 * with many requests delays only its own.
 */
import { OverloadedError } from "../errors.ts";
import {
  type RunningLimits,
  RunningTasks,
  type TaskGroup,
  type TaskOfCaller,
  type TaskPlace,
} from "./running-tasks.ts";

export interface AdmissionLimits extends RunningLimits {
  readonly maxWaiting: number;
  /** While others wait too. */
  readonly maxWaitingOfCaller: number;
  readonly maxWaitMs: number;
  /** Called with the next task of each caller that waits, at once and then every second: may end tasks that run. */
  readonly makeRoom?: (needed: readonly NeededRoom[]) => void;
}

export interface NeededRoom {
  readonly weight: number;
  /** Who waits. */
  readonly caller: string;
  /** The caller or group whose own limit the task waits for; `undefined`: others use up what there is. */
  readonly onlyOf: string | undefined;
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

interface Waiter {
  readonly task: TaskOfCaller;
  readonly start: (place: TaskPlace) => void;
  readonly refuse: (error: unknown) => void;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #running: RunningTasks;
  /** By caller, in the order of their next turns. */
  readonly #queue = new Map<string, Set<Waiter>>();
  #waiting = 0;
  #makingRoom: NodeJS.Timeout | undefined;
  #starting: NodeJS.Immediate | undefined;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
    this.#running = new RunningTasks(limits);
  }

  /** How many callers are remembered. */
  get callerCount(): number {
    return new Set([...this.#running.callers, ...this.#queue.keys()]).size;
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
    const task = { caller, weight, groups };
    // What has become free is for those who wait.
    if (this.#starting !== undefined) this.#startNext();
    const isFirst = !this.#queue.has(caller);
    const place = (isFirst && this.#running.take(task)) || (await this.#wait(task, signal));
    let hasEnded = false;
    const resizeTo = (newWeight: number) => {
      if (hasEnded) return;
      this.#running.resize(place, newWeight);
      this.#startSoon();
    };
    const end = () => {
      resizeTo(0);
      hasEnded = true;
    };
    return { resizeTo, end };
  }

  async #wait(task: TaskOfCaller, signal: AbortSignal): Promise<TaskPlace> {
    this.#leaveRoomFor(task.caller);
    const { promise, resolve, reject } = Promise.withResolvers<TaskPlace>();
    const waiter: Waiter = { task, start: resolve, refuse: reject };
    const onAbort = () => this.#refuse(waiter, signal.reason);
    const timer = setTimeout(() => {
      const isOwnLimit = this.#running.limitedKey(task) !== undefined;
      this.#refuse(waiter, isOwnLimit ? tooMany("of yours") : overloaded());
    }, this.#limits.maxWaitMs);
    this.#waiting += 1;
    const waiting = this.#queue.get(task.caller) ?? new Set();
    this.#queue.set(task.caller, waiting.add(waiter));
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
    const needed: NeededRoom[] = [];
    for (const [caller, [waiter]] of this.#queue) {
      if (waiter === undefined) continue;
      const { task } = waiter;
      const onlyOf = this.#running.limitedKey(task);
      const weight = onlyOf === undefined ? this.#running.lacking(task) : task.weight;
      needed.push({ weight, caller, onlyOf });
    }
    makeRoom(needed);
    // What was short may have been freed by others.
    this.#startNext();
    this.#makingRoom = setTimeout(() => this.#makeRoom(), MAKE_ROOM_EVERY_MS).unref();
  }

  /** In a full queue the newest task of the caller with most gives way to a caller that has fewer, also then. */
  #leaveRoomFor(caller: string): void {
    const { maxWaiting, maxWaitingOfCaller } = this.#limits;
    const ownCount = this.#queue.get(caller)?.size ?? 0;
    const isAlone = this.#waiting === ownCount;
    if (ownCount >= (isAlone ? maxWaiting : maxWaitingOfCaller)) throw tooMany("of yours");
    if (this.#waiting < maxWaiting) return;
    let most: ReadonlySet<Waiter> = new Set();
    for (const waiting of this.#queue.values()) if (waiting.size > most.size) most = waiting;
    const newest = [...most].at(-1);
    if (newest === undefined || most.size <= ownCount + 1) throw overloaded();
    this.#refuse(newest, tooMany("of yours"));
  }

  #refuse(waiter: Waiter, error: unknown): void {
    this.#leave(waiter);
    waiter.refuse(error);
  }

  #leave(waiter: Waiter): void {
    const { caller } = waiter.task;
    const waiting = this.#queue.get(caller);
    if (!waiting?.delete(waiter)) return;
    this.#waiting -= 1;
    if (waiting.size === 0) this.#queue.delete(caller);
  }

  /** Later in this turn of the event loop: many tasks may end at once, as when their callers leave, and thousands may wait. */
  #startSoon(): void {
    if (this.#waiting === 0) return;
    this.#starting ??= setImmediate(() => this.#startNext());
  }

  /** Those for whom there is room, in the order of their turns. */
  #startNext(): void {
    clearImmediate(this.#starting);
    this.#starting = undefined;
    for (const [caller, waiting] of this.#queue) {
      const [waiter] = waiting;
      const place = waiter && this.#running.take(waiter.task);
      if (waiter === undefined || place === undefined) continue;
      // The iteration comes to it again after the others.
      this.#queue.delete(caller);
      this.#queue.set(caller, waiting);
      this.#leave(waiter);
      waiter.start(place);
    }
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

/**
 * Limits how many tasks run at a time; urgent ones start before others, and owners of waiting tasks take turns. Not p-queue: a place is taken and released around code
 * that is not one function, and an abort while queued is a result here, not an error; wrapping its `add` is no shorter.
 */

/** A running task older than twice what tasks take lately may hang: it keeps no newcomer waiting. Within these limits. */
const MIN_SLOW_AFTER_MS = 150;
const MAX_SLOW_AFTER_MS = 500;
/** Weight of the task that ended last. */
const NEWEST_WEIGHT = 0.1;
/** An owner with fewer running tasks, none of them slow, is a newcomer. */
const FEW_TASKS = 2;
/** A newcomer's task waits for a usual place if so many slow ones are about the same subject. */
const MAX_SLOW_OF_SUBJECT = 4;
const LOOK_EVERY_MS = 25;
/** How many may run while newcomers wait for none that is slow, as a multiple of the usual number. */
export const MAX_CONCURRENT_FACTOR = 4;

export interface SemaphoreTask {
  readonly isUrgent?: boolean;
  /** Another owner's tasks do not wait behind all of this one's. */
  readonly owner: string;
  /** What it is about: tasks about one subject may all hang. */
  readonly subject: string;
}

interface Waiting extends SemaphoreTask {
  readonly start: () => void;
}

/** The waiting tasks of each owner; the owner whose turn is next comes first. */
type Queue = Map<string, Set<Waiting>>;

const OF_ALL: SemaphoreTask = { owner: "", subject: "" };

export class PrioritySemaphore {
  #count: number;
  readonly #maxCount: number;
  /** Since when each runs, by `performance.now`. */
  readonly #running = new Map<SemaphoreTask, number>();
  readonly #urgent: Queue = new Map();
  readonly #normal: Queue = new Map();
  #timer: NodeJS.Timeout | undefined;
  /** What tasks take lately. */
  #usualMs = 0;

  /** @param maxCount - With those that newcomers start while slow tasks hold the places. */
  constructor(count: number, maxCount = count) {
    this.#count = count;
    this.#maxCount = maxCount;
  }

  /** @returns What to call once when the task has ended; `undefined`: the signal aborted before its turn. */
  async take(signal: AbortSignal, task = OF_ALL): Promise<(() => void) | undefined> {
    if (signal.aborted) return undefined;
    if (this.#running.size < this.#count) return this.#run({ ...task });
    const queue = task.isUrgent === true ? this.#urgent : this.#normal;
    const ofOwner = queue.get(task.owner) ?? new Set();
    queue.set(task.owner, ofOwner);
    return new Promise((resolve) => {
      const leaveQueue = () => {
        ofOwner.delete(waiting);
        if (ofOwner.size === 0 && queue.get(task.owner) === ofOwner) queue.delete(task.owner);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = () => {
        leaveQueue();
        resolve(undefined);
      };
      const start = () => {
        leaveQueue();
        resolve(this.#run(waiting));
      };
      const waiting: Waiting = { ...task, start };
      ofOwner.add(waiting);
      signal.addEventListener("abort", onAbort);
      this.#startNewcomers();
    });
  }

  /** @param change - How many more, or fewer, may run at a time. */
  resize(change: number): void {
    this.#count += change;
    this.#startNext();
  }

  #run(task: SemaphoreTask): () => void {
    const startedAtMs = performance.now();
    this.#running.set(task, startedAtMs);
    return () => {
      const tookMs = Math.min(performance.now() - startedAtMs, MAX_SLOW_AFTER_MS);
      this.#usualMs += NEWEST_WEIGHT * (tookMs - this.#usualMs);
      this.#running.delete(task);
      this.#startNext();
      this.#startNewcomers();
    };
  }

  get #slowAfterMs(): number {
    return Math.min(Math.max(2 * this.#usualMs, MIN_SLOW_AFTER_MS), MAX_SLOW_AFTER_MS);
  }

  #startNext(): void {
    while (this.#running.size < this.#count) {
      const queue = this.#urgent.size > 0 ? this.#urgent : this.#normal;
      const [owner = "", ofOwner] = queue.entries().next().value ?? [];
      const [next] = ofOwner ?? [];
      if (ofOwner === undefined || next === undefined) return;
      queue.delete(owner);
      if (ofOwner.size > 1) queue.set(owner, ofOwner);
      next.start();
    }
  }

  /** Beyond `count`, as long as fewer than `count` of those that run are not slow. */
  #startNewcomers(): void {
    if (this.#maxCount <= this.#count) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const running = new RunningCounts(this.#running, this.#slowAfterMs);
    const mayStart = () => this.#running.size < this.#maxCount && running.quickCount < this.#count;
    const owners = mayStart() ? [...this.#urgent.values(), ...this.#normal.values()] : [];
    for (const ofOwner of owners) {
      for (const waiting of ofOwner) {
        if (!mayStart() || !running.isNewOwner(waiting)) break;
        if (running.isOfHangingSubject(waiting)) continue;
        running.add(waiting, false);
        waiting.start();
      }
    }
    if (this.#urgent.size + this.#normal.size > 0)
      this.#timer = setTimeout(() => this.#startNewcomers(), LOOK_EVERY_MS);
  }
}

class RunningCounts {
  readonly #ofOwner = new Map<string, number>();
  readonly #slowOwners = new Set<string>();
  readonly #slowOfSubject = new Map<string, number>();
  quickCount = 0;

  constructor(running: ReadonlyMap<SemaphoreTask, number>, slowAfterMs: number) {
    const slowBeforeMs = performance.now() - slowAfterMs;
    for (const [task, startedAtMs] of running) this.add(task, startedAtMs <= slowBeforeMs);
  }

  add({ owner, subject }: SemaphoreTask, isSlow: boolean): void {
    this.#ofOwner.set(owner, (this.#ofOwner.get(owner) ?? 0) + 1);
    if (isSlow) {
      this.#slowOwners.add(owner);
      this.#slowOfSubject.set(subject, (this.#slowOfSubject.get(subject) ?? 0) + 1);
    } else this.quickCount += 1;
  }

  isNewOwner({ owner }: SemaphoreTask): boolean {
    return (this.#ofOwner.get(owner) ?? 0) < FEW_TASKS && !this.#slowOwners.has(owner);
  }

  isOfHangingSubject({ subject }: SemaphoreTask): boolean {
    return (this.#slowOfSubject.get(subject) ?? 0) >= MAX_SLOW_OF_SUBJECT;
  }
}

/** @param change - Of the semaphore, by one task. */
export type LeaveSemaphore = (change?: "grow" | "shrink") => void;

/** A semaphore for each key, for as long as it is used. */
export class KeyedSemaphores {
  readonly #count: number;
  readonly #maxCount: number;
  readonly #used = new Map<string, { readonly semaphore: PrioritySemaphore; users: number; count: number }>();

  /** @param count - At first. @param maxCount - Once it has grown. */
  constructor(count: number, maxCount = count) {
    this.#count = count;
    this.#maxCount = maxCount;
  }

  /** @returns What to call afterwards; `undefined`: the signal aborted first. */
  async take(key: string, signal: AbortSignal): Promise<LeaveSemaphore | undefined> {
    const used = this.#used.get(key) ?? {
      ...{ semaphore: new PrioritySemaphore(this.#count), users: 0, count: this.#count },
    };
    this.#used.set(key, used);
    used.users += 1;
    const leave = () => {
      used.users -= 1;
      if (used.users === 0) this.#used.delete(key);
    };
    const release = await used.semaphore.take(signal);
    if (release === undefined) {
      leave();
      return undefined;
    }
    return (change) => {
      const step = change === "grow" ? 1 : change === "shrink" ? -1 : 0;
      const count = Math.min(Math.max(used.count + step, 1), this.#maxCount);
      used.semaphore.resize(count - used.count);
      used.count = count;
      release();
      leave();
    };
  }
}

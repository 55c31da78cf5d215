/** A queue and its consumers in one process. What waits in it is gone when the process ends; the next reconcile finds it again. */
import { errorFields, StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { DeadLetter, DeadLetters, JobQueue, QueueMessage } from "./job-queue.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retryDelaySeconds } from "./retry-policy.ts";

export interface MemoryJobQueueOptions {
  /** `signal` aborts when the queue is closed. */
  readonly run: (body: string, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** Groups at a time. */
  readonly concurrency?: number;
  readonly retries?: RetryPolicy;
}

interface WaitingJob {
  readonly message: QueueMessage;
  tries: number;
}

/** SQS's. */
const DEDUP_MS = 5 * 60_000;

/** Those that come after the oldest are also marked in the store as failed. */
const MAX_DEAD_LETTERS = 10_000;

export class MemoryJobQueue implements JobQueue, DeadLetters {
  readonly #options: MemoryJobQueueOptions;
  readonly #groups = new Map<string, WaitingJob[]>();
  /** Groups whose next job may run; a group that runs or waits for a retry is not in it. */
  #ready: string[] = [];
  #runningCount = 0;
  readonly #sentAtMs = new Map<string, number>();
  readonly #dead: QueueMessage[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #closing = new AbortController();
  readonly #waiting = new Set<() => void>();

  constructor(options: MemoryJobQueueOptions) {
    this.#options = options;
  }

  async send(messages: readonly QueueMessage[]): Promise<void> {
    const nowMs = Date.now();
    this.#forgetOldIds(nowMs);
    for (const message of messages) {
      if (this.#sentAtMs.has(message.dedupId)) continue;
      this.#sentAtMs.set(message.dedupId, nowMs);
      const group = this.#groups.get(message.groupId);
      if (group === undefined) {
        this.#groups.set(message.groupId, [{ message, tries: 0 }]);
        this.#ready.push(message.groupId);
      } else group.push({ message, tries: 0 });
    }
    this.#runReady();
  }

  async list(maxCount: number): Promise<readonly DeadLetter[]> {
    return this.#dead.slice(0, maxCount).map(({ groupId, body }) => ({ groupId, body }));
  }

  async replay(maxCount: number): Promise<number> {
    const letters = this.#dead.splice(0, maxCount);
    for (const { dedupId } of letters) this.#sentAtMs.delete(dedupId);
    await this.send(letters);
    return letters.length;
  }

  /** Whether jobs of the group wait or run. */
  isBusy(groupId: string): boolean {
    return this.#groups.has(groupId);
  }

  /** Resolves when no job runs or could run; those that wait for their next try do not count. */
  async idle(): Promise<void> {
    while (this.#runningCount > 0 || this.#ready.length > 0) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Resolves when nothing waits either. */
  async drained(): Promise<void> {
    while (this.#groups.size > 0) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Stops what runs, drops what waits. Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ready = [];
    await this.idle();
  }

  #forgetOldIds(nowMs: number): void {
    for (const [id, sentAtMs] of this.#sentAtMs) {
      if (nowMs - sentAtMs < DEDUP_MS) return;
      this.#sentAtMs.delete(id);
    }
  }

  #runReady(): void {
    const { concurrency = 1 } = this.#options;
    while (this.#runningCount < concurrency && !this.#closing.signal.aborted) {
      const groupId = this.#ready.shift();
      if (groupId === undefined) return;
      this.#runningCount += 1;
      void this.#runNext(groupId);
    }
  }

  /** Never rejects. */
  async #runNext(groupId: string): Promise<void> {
    const group = this.#groups.get(groupId) ?? [];
    const [job] = group;
    const delaySeconds = job === undefined ? 0 : await this.#try(job);
    this.#runningCount -= 1;
    if (delaySeconds === 0) group.shift();
    if (group.length === 0) this.#groups.delete(groupId);
    else if (delaySeconds === 0) this.#ready.push(groupId);
    else this.#later(groupId, delaySeconds);
    this.#runReady();
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** @returns After which time to try again; 0 if it is done with. */
  async #try(job: WaitingJob): Promise<number> {
    const { run, log, retries = DEFAULT_RETRY_POLICY } = this.#options;
    const { message } = job;
    job.tries += 1;
    try {
      await run(message.body, this.#closing.signal);
      return 0;
    } catch (error) {
      if (this.#closing.signal.aborted || error instanceof StoppedError) return 0;
      const retryAfterSeconds = retryDelaySeconds(error, job.tries, retries);
      const isLast = job.tries >= retries.maxTries;
      const fields = { groupId: message.groupId, ...errorFields(error) };
      log.error("queue:job-failed", isLast ? fields : { retryAfterSeconds, ...fields });
      if (!isLast) return retryAfterSeconds;
      this.#dead.push(message);
      if (this.#dead.length > MAX_DEAD_LETTERS) this.#dead.shift();
      return 0;
    }
  }

  #later(groupId: string, delaySeconds: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#closing.signal.aborted) return;
      this.#ready.push(groupId);
      this.#runReady();
    }, delaySeconds * 1000);
    this.#timers.add(timer);
  }
}

/**
 * A queue and its consumers in one process. Waiting messages end with the process unless `keepsWaiting` is set; dead letters
 * stay where `kept` stores them.
 */
import { errorFields, QueueError, StoppedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { DeadLetter, DeadLetters, JobQueue, QueueMessage } from "./job-queue.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retryDelaySeconds } from "./job-queue.ts";
import { KeptDeadLetters, type KeptMessages, MemoryKeptMessages } from "./kept-messages.ts";

export interface MemoryJobQueueOptions {
  /** `signal` aborts when the queue is closed. */
  readonly run: (body: string, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
  /** How many groups run at a time. */
  readonly concurrency?: number;
  readonly retries?: RetryPolicy;
  /** By default in memory. */
  readonly kept?: KeptMessages;
  /** Stores messages from `send` until they are done. For events that could not be found again. */
  readonly keepsWaiting?: boolean;
  /** Whether the later of two messages of a group can replace the earlier one, which has not begun: a burst then makes one job. */
  readonly covers?: (laterBody: string, earlierBody: string) => boolean;
}

interface WaitingJob {
  message: QueueMessage;
  /** Of the stored waiting message. */
  readonly keptId: string | undefined;
  readonly addedAtMs: number;
  tries: number;
}

/** As SQS's. */
const DEDUP_MS = 5 * 60_000;

export class MemoryJobQueue implements JobQueue, DeadLetters {
  readonly #options: MemoryJobQueueOptions;
  readonly #groups = new Map<string, WaitingJob[]>();
  /** Groups whose next job may run; a group that runs or waits for a retry is not in it. */
  #ready: string[] = [];
  #runningCount = 0;
  readonly #sentAtMs = new Map<string, number>();
  readonly #kept: KeptMessages;
  readonly #deadLetters: DeadLetters;
  /** Stored messages that are in this queue. */
  readonly #loaded = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #closing = new AbortController();
  readonly #waiting = new Set<() => void>();

  constructor(options: MemoryJobQueueOptions) {
    this.#options = options;
    this.#kept = options.kept ?? new MemoryKeptMessages();
    this.#deadLetters = new KeptDeadLetters(this.#kept);
  }

  async send(messages: readonly QueueMessage[]): Promise<void> {
    const nowMs = Date.now();
    this.#forgetOldIds(nowMs);
    for (const message of messages) {
      if (this.#sentAtMs.has(message.dedupId)) continue;
      this.#sentAtMs.set(message.dedupId, nowMs);
      const keptId = this.#options.keepsWaiting ? await this.#keep(message) : undefined;
      this.#add({ message, keptId, tries: 0 });
    }
    this.#runReady();
  }

  /** Loads the stored waiting messages: of an earlier process, or replayed by another one. */
  async takeKept(): Promise<void> {
    // Messages that finish while the list is read may be in it.
    const before = new Set(this.#loaded);
    for (const { id, message } of await this.#kept.list("waiting", Number.POSITIVE_INFINITY)) {
      if (before.has(id) || this.#loaded.has(id)) continue;
      this.#loaded.add(id);
      // A sender that was killed before it knew that this one is stored sends it again.
      this.#sentAtMs.set(message.dedupId, Date.now());
      this.#add({ message, keptId: id, tries: 0 });
    }
    this.#runReady();
  }

  list(maxCount: number): Promise<readonly DeadLetter[]> {
    return this.#deadLetters.list(maxCount);
  }

  async replay(maxCount: number): Promise<number> {
    const count = await this.#deadLetters.replay(maxCount);
    await this.takeKept();
    return count;
  }

  /** Of the group's jobs that wait or run, in their order. */
  bodiesOf(groupId: string): readonly string[] {
    return (this.#groups.get(groupId) ?? []).map(({ message }) => message.body);
  }

  /** Jobs that wait or run, and when the oldest of them came into this queue. */
  pending(): { readonly count: number; readonly oldestSentAtMs: number | undefined } {
    const groups = [...this.#groups.values()];
    const times = groups.flatMap(([first]) => first?.addedAtMs ?? []);
    return {
      count: groups.reduce((sum, { length }) => sum + length, 0),
      oldestSentAtMs: times.length === 0 ? undefined : times.reduce((a, b) => Math.min(a, b)),
    };
  }

  deadLetterCount(): Promise<number> {
    return this.#kept.count("dead");
  }

  /** Resolves when no job runs or is ready; jobs that wait for a retry do not count. */
  async idle(): Promise<void> {
    while (this.#runningCount > 0 || this.#ready.length > 0) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Resolves when no job waits for a retry either. */
  async drained(): Promise<void> {
    while (this.#groups.size > 0) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** Aborts running jobs and drops waiting ones. Resolves when no job runs. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#ready = [];
    await this.idle();
  }

  async #keep(message: QueueMessage): Promise<string> {
    try {
      const id = await this.#kept.put("waiting", message);
      this.#loaded.add(id);
      return id;
    } catch (error) {
      this.#sentAtMs.delete(message.dedupId);
      throw new QueueError("a message could not be kept", { groupId: message.groupId, cause: error });
    }
  }

  #add(added: Omit<WaitingJob, "addedAtMs">): void {
    const job = { ...added, addedAtMs: Date.now() };
    const { groupId } = job.message;
    const group = this.#groups.get(groupId);
    if (group !== undefined) {
      const last = group.at(-1);
      if (last !== undefined && this.#isCovered(last, job)) last.message = job.message;
      else group.push(job);
      return;
    }
    this.#groups.set(groupId, [job]);
    this.#nowReady(groupId);
  }

  /** Stored messages stay as they are. */
  #isCovered(earlier: WaitingJob, later: WaitingJob): boolean {
    const { covers } = this.#options;
    if (covers === undefined || earlier.tries > 0) return false;
    if (earlier.keptId !== undefined || later.keptId !== undefined) return false;
    return covers(later.message.body, earlier.message.body);
  }

  /** After `close` no group becomes ready, or `idle` would wait for it for ever. */
  #nowReady(groupId: string): void {
    if (!this.#closing.signal.aborted) this.#ready.push(groupId);
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
    else if (delaySeconds > 0) this.#later(groupId, delaySeconds);
    else this.#nowReady(groupId);
    this.#runReady();
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** @returns The delay before the retry; 0 if the job is done. */
  async #try(job: WaitingJob): Promise<number> {
    const { run, log, retries = DEFAULT_RETRY_POLICY } = this.#options;
    const { message } = job;
    job.tries += 1;
    try {
      await run(message.body, this.#closing.signal);
      await this.#doneWith(job);
      return 0;
    } catch (error) {
      if (this.#closing.signal.aborted || error instanceof StoppedError) return 0;
      const retryAfterSeconds = retryDelaySeconds(error, job.tries, retries);
      const isLast = job.tries >= retries.maxTries;
      const fields = { groupId: message.groupId, ...errorFields(error) };
      log.error("queue:job-failed", isLast ? fields : { retryAfterSeconds, ...fields }, { JobFailures: 1 });
      if (!isLast) return retryAfterSeconds;
      await this.#deadLetter(job);
      return 0;
    }
  }

  /** Never rejects: a message that stays stored is run again by the next process. */
  async #doneWith({ keptId, message }: WaitingJob): Promise<void> {
    if (keptId === undefined) return;
    try {
      await this.#kept.delete("waiting", keptId);
      this.#loaded.delete(keptId);
    } catch (error) {
      this.#options.log.warn("queue:not-forgotten", { groupId: message.groupId, ...errorFields(error) });
    }
  }

  /** Never rejects. */
  async #deadLetter(job: WaitingJob): Promise<void> {
    try {
      await this.#kept.put("dead", job.message);
    } catch (error) {
      const { groupId, body } = job.message;
      this.#options.log.error("queue:dead-letter-lost", { groupId, body, ...errorFields(error) });
    }
    await this.#doneWith(job);
  }

  #later(groupId: string, delaySeconds: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#nowReady(groupId);
      this.#runReady();
    }, delaySeconds * 1000);
    this.#timers.add(timer);
  }
}

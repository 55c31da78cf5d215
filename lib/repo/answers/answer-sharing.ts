/**
 * Shares answers among those who ask for the same: at the same time in this process, through a tee buffer, and later or elsewhere,
 * through the store. Two processes may make the same answer at the same time; the first to finish keeps it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import { CorruptPackError, LimitExceededError, ProtocolError, VersionConflictError } from "../../errors.ts";
import type { AnswerItem, AnswerRequest, SharedAnswers } from "../../git/ports.ts";
import { UnsharedAnswerError } from "../../git/upload-pack/shared-answer.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { repositoryKeys } from "../layout.ts";
import { type AnswerOwner, AnswerQuota } from "./answer-quota.ts";
import { AnswerTask } from "./answer-task.ts";
import { openStoredAnswer, writeAnswer } from "./stored-answer.ts";
import { TeeBudget } from "./tee-buffer.ts";

export interface AnswerSharingOptions {
  readonly store: BlobStore;
  /** Temporary folder for large answers while they are made. By default the system's: `TMPDIR`, or `/tmp`. */
  readonly temporaryFolder?: string | undefined;
  /**
   * How long the one who made an answer waits at its end for it to be kept: a function is frozen once it has answered. 0 unless
   * given.
   */
  readonly maxKeepingWaitMs?: number;
  readonly budget?: TeeBudget;
  /** See {@link SharedAnswers}. */
  readonly maxBytes?: number | undefined;
  /** In ms since 1970. */
  readonly now?: () => number;
  /** For how fast readers read: in ms, a clock that only goes forward. */
  readonly steadyNow?: () => number;
  /** Called when making or storing an answer fails; the client gets its answer or an error all the same. */
  readonly onFailure?: (error: unknown, key: string) => void;
}

interface OwnedRequest extends AnswerRequest {
  readonly owner: AnswerOwner;
}

/** What is planned may be 512 MiB, and become longer where deltas have to be undone. Above this it is not kept. */
const MAX_KEPT_BYTES = 1024 * 1024 * 1024;

/** Equal requests within this time are likely under way together. */
const REPEATED_MS = 10_000;
const MAX_ASKED = 5_000;
const MAX_ASKED_OF_CALLER = 50;
/** How long an answer that is not kept stays at hand after it was made. */
const LINGER_MS = 1_000;
const MAX_LINGERING_BYTES = 16 * 1024 * 1024;

export class AnswerSharing {
  readonly #options: AnswerSharingOptions;
  readonly #budget: TeeBudget;
  readonly #quota: AnswerQuota;
  /** By blob key. */
  readonly #tasks = new Map<string, AnswerTask>();
  /** Keys of answers that were asked for a short time ago. */
  readonly #asked = new LRUCache<string, true>({ max: MAX_ASKED, ttl: REPEATED_MS });
  /** How many different ones each caller has asked for. */
  readonly #askedOf = new LRUCache<string, { count: number }>({ max: MAX_ASKED, ttl: REPEATED_MS });
  /** Look-ups of a stored answer that are under way; each makes the answer if there is none. */
  readonly #looking = new Map<string, Promise<unknown>>();

  constructor(options: AnswerSharingOptions) {
    this.#options = options;
    this.#budget = options.budget ?? new TeeBudget();
    this.#quota = new AnswerQuota(options.store, options.now);
  }

  of(owner: AnswerOwner): SharedAnswers {
    const { answer } = repositoryKeys(owner.uuid);
    return {
      maxBytes: this.#options.maxBytes,
      open: (request) => this.#open(answer(request.key), { ...request, owner }),
      isRepeated: (key) => this.#isRepeated(answer(key), owner.caller ?? ""),
    };
  }

  /** A function has one request at a time. */
  #isRepeated(blobKey: string, caller: string): boolean {
    if (this.#options.maxKeepingWaitMs !== undefined) return false;
    const isRepeated = this.#asked.has(blobKey);
    const ofCaller = this.#askedOf.get(caller) ?? { count: 0 };
    if (ofCaller.count === 0) this.#askedOf.set(caller, ofCaller);
    if (!isRepeated) ofCaller.count += 1;
    // What one caller asks for in quick succession must not push out what others ask for.
    if (ofCaller.count <= MAX_ASKED_OF_CALLER) this.#asked.set(blobKey, true);
    return isRepeated;
  }

  async #open(blobKey: string, request: OwnedRequest): Promise<AsyncIterable<AnswerItem> | undefined> {
    for (let mayBeStored = request.isKept; ; ) {
      const task = this.#tasks.get(blobKey);
      if (task?.isReadable) return task.read(request.signal, request.owner.caller);
      const looking = this.#looking.get(blobKey);
      if (looking === undefined) return this.#lookOrMake(blobKey, request, mayBeStored);
      await looking;
      // No task makes it: it is in the store, or has failed already.
      if (!this.#tasks.has(blobKey) && mayBeStored) {
        const stored = await this.#openStored(blobKey, request.signal);
        if (stored !== undefined) return stored;
        mayBeStored = false;
      }
    }
  }

  async #lookOrMake(
    blobKey: string,
    request: OwnedRequest,
    mayBeStored: boolean,
  ): Promise<AsyncIterable<AnswerItem> | undefined> {
    const looking = this.#lookThenMake(blobKey, request, mayBeStored);
    this.#looking.set(blobKey, looking);
    try {
      return await looking;
    } finally {
      this.#looking.delete(blobKey);
    }
  }

  async #lookThenMake(
    blobKey: string,
    { make, isKept, endsWhenKept = false, signal, owner }: OwnedRequest,
    mayBeStored: boolean,
  ): Promise<AsyncIterable<AnswerItem> | undefined> {
    const stored = mayBeStored ? await this.#openStored(blobKey, signal) : undefined;
    // Without room each reader makes its own, at its own pace.
    if (stored !== undefined || make === undefined || !this.#hasRoomFor(owner.caller)) return stored;
    const { temporaryFolder: folder, steadyNow: now } = this.#options;
    const task = new AnswerTask({ folder, budget: this.#budget, now });
    this.#tasks.set(blobKey, task);
    const reading = task.read(signal, owner.caller);
    const kept = this.#makeAndKeep(blobKey, task, make, isKept ? owner : undefined);
    const { maxKeepingWaitMs = 0 } = this.#options;
    if (!isKept || (maxKeepingWaitMs === 0 && !endsWhenKept)) return reading;
    return endingAfter(reading, () => (endsWhenKept ? kept : withTimeLimit(kept, maxKeepingWaitMs)));
  }

  /** If there is no room, ends one answer that is there only for idle readers, of the caller with the most. */
  #hasRoomFor(caller: string | undefined): boolean {
    const budget = this.#budget;
    if (!budget.isUsedUpBy(caller)) return true;
    const mayEnd = (task: AnswerTask): boolean => task.isIdle && (budget.isUsedUp || task.caller === caller);
    const [idle] = [...this.#tasks.values()]
      .filter(mayEnd)
      .sort((one, other) => budget.bytesOf(other.caller) - budget.bytesOf(one.caller));
    idle?.cutReaders();
    return !budget.isUsedUpBy(caller);
  }

  /** Never rejects. */
  async #makeAndKeep(
    blobKey: string,
    task: AnswerTask,
    make: NonNullable<AnswerRequest["make"]>,
    owner: AnswerOwner | undefined,
  ): Promise<void> {
    const keeping = owner === undefined ? undefined : this.#keep(blobKey, task, owner);
    const letGo = task.hold();
    const failure = await task.run(make);
    // What is not kept is shared for as long as a client reads it, or the next equal request may come.
    const lingers = failure === undefined && task.lengthBytes <= MAX_LINGERING_BYTES;
    if (lingers && keeping === undefined) await sleep(LINGER_MS, undefined, { ref: false });
    letGo();
    if (failure === undefined) await (keeping ?? task.unused);
    // The next request finds it in the store, or makes it anew.
    if (this.#tasks.get(blobKey) === task) this.#tasks.delete(blobKey);
    if (failure !== undefined && !task.isAbandoned && !isExpected(failure.error)) {
      this.#options.onFailure?.(failure.error, blobKey);
    }
    await keeping;
  }

  /** Never rejects. */
  async #keep(blobKey: string, task: AnswerTask, owner: AnswerOwner): Promise<void> {
    // At once: a store may take longer to begin than all readers take to end.
    const letGo = task.hold();
    try {
      const chunks = this.#quota.counted(task.readHeld(), owner);
      await writeAnswer(this.#options.store, blobKey, chunks, MAX_KEPT_BYTES);
    } catch (error) {
      // Another process was first, there is no room, or the work has failed, which is reported there.
      const isExpectedHere = error instanceof VersionConflictError || error instanceof LimitExceededError;
      if (isExpectedHere || task.hasFailed) return;
      this.#options.onFailure?.(error, blobKey);
    } finally {
      letGo();
    }
  }

  /** @returns `undefined` also if the store fails: what it holds is spared work, no more. */
  async #openStored(
    blobKey: string,
    signal: AbortSignal | undefined,
  ): Promise<AsyncGenerator<Uint8Array, void, undefined> | undefined> {
    const { store, onFailure } = this.#options;
    try {
      const chunks = await openStoredAnswer(store, blobKey, { signal, maxBytes: this.#options.maxBytes });
      return chunks && this.#watched(blobKey, chunks);
    } catch (error) {
      onFailure?.(error, blobKey);
      return undefined;
    }
  }

  /** Removes a damaged answer, so that the next one who asks makes it anew. */
  async *#watched(
    blobKey: string,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* chunks;
    } catch (error) {
      this.#options.onFailure?.(error, blobKey);
      if (error instanceof CorruptPackError) await this.#remove(blobKey);
      throw error;
    }
  }

  async #remove(blobKey: string): Promise<void> {
    try {
      await this.#options.store.delete(blobKey);
    } catch (error) {
      this.#options.onFailure?.(error, blobKey);
    }
  }
}

/** Errors that the request causes, which go to the client only. */
function isExpected(error: unknown): boolean {
  return [UnsharedAnswerError, ProtocolError, LimitExceededError].some((kind) => error instanceof kind);
}

async function* endingAfter<Item>(
  items: AsyncIterable<Item>,
  last: () => Promise<void>,
): AsyncGenerator<Item, void, undefined> {
  yield* items;
  await last();
}

async function withTimeLimit(kept: Promise<void>, maxWaitMs: number): Promise<void> {
  const { promise: isTooLate, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, maxWaitMs);
  await Promise.race([kept, isTooLate]);
  clearTimeout(timer);
}

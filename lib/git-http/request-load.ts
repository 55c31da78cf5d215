/**
 * What requests may use of the process. One of `git-upload-pack`, in order:
 *
 * 1. Its body is read: so many bodies at a time, each within a time limit and at a minimum rate. Lines that are kept count against a budget.
 * 2. It waits for memory and for its turn to plan, and leaves both while it waits for a sync.
 * 3. Once it is planned, only its reader pulls: it keeps what memory the answer takes until the reader has it all. While others wait
 *    for memory, readers that take next to nothing are cut.
 *
 * All that is refused is refused before the first byte of a pack.
 */
import { LimitExceededError } from "../errors.ts";
import { Admission, ByteBudget, type RunningTask } from "../http/admission.ts";
import { type BodyTime, bodyWithin } from "../http/body-within.ts";
import type { HttpResponse } from "../http/message.ts";
import { AnswerReaders } from "./answer-readers.ts";
import type { RequestCaller } from "./request-caller.ts";

export interface LoadLimits {
  /** Plans at a time: one of a large repository takes some 20 MB. */
  readonly maxPlans: number;
  readonly maxPlansOfCaller: number;
  /** For plans and answers, in bytes. */
  readonly memoryBytes?: number;
  /** Of all requests: bytes of their bodies that are kept. As text in memory they take three times as much. */
  readonly keptBytes?: number;
  /** Whether the process uses nearly all the memory that it may. */
  readonly isShort?: () => boolean;
}

const DEFAULT_LOAD_LIMITS: LoadLimits = { maxPlans: 16, maxPlansOfCaller: 8 };

const MIB = 1024 * 1024;
/** Of plans and of answers that are being read. A plan of 400,000 objects takes 9 MB, a small one next to nothing. */
const MEMORY_BYTES = 320 * MIB;
const CALLER_MEMORY = { maxRunningOfCaller: MEMORY_BYTES / 2, shareOfFree: 1 / 4 };
const TOKEN_MEMORY = { maxRunning: MEMORY_BYTES / 2, shareOfFree: 1 / 4 };
/** All of a company may come from one address, so it may have twice what it leaves to others. */
const BLOCK_MEMORY = { maxRunning: MEMORY_BYTES, shareOfFree: 2, shareOfFreeWithReserve: 3 };
/** For the first request of a caller about a repository of up to 400,000 objects. */
const RESERVE_SHARE = 1 / 10;
const MAX_RESERVED_PLAN_BYTES = 6 * MIB;

/** A body is read in some ms. Those that wait have sent no more than a socket holds. */
const READING = {
  maxRunning: 128,
  maxRunningOfCaller: 16,
  maxWaiting: 2_000,
  maxWaitingOfCaller: 500,
  maxWaitMs: 30_000,
};
/** Pushes that are passed through. Those that wait have sent no more than a socket holds. */
const RELAYING = {
  maxRunning: 64,
  maxRunningOfCaller: 8,
  maxWaiting: 500,
  maxWaitingOfCaller: 100,
  maxWaitMs: 60_000,
};
/** Batches of git-lfs, of at most 512 KiB each. */
const READING_LFS = {
  maxRunning: 64,
  maxRunningOfCaller: 16,
  maxWaiting: 1_000,
  maxWaitingOfCaller: 200,
  maxWaitMs: 20_000,
};
/** Of a token, with whatever names and from wherever. */
const LFS_OF_TOKEN = { maxRunning: 32, shareOfFree: 0.5 };
/** Longer than a request waits for a sync. */
const MAX_PLAN_WAIT_MS = 60_000;
const MAX_WAITING_PLANS = 2_000;
const MAX_WAITING_PLANS_OF_CALLER = 500;

/** git compresses bodies. 100,000 wants take 2.5 MB then, and a slow uplink sends 50 kB/s. */
const BODY_TIME: BodyTime = { maxMs: 60_000, maxIdleMs: 10_000 };
/** Of one request: 200,000 object ids. */
const MAX_KEPT_BYTES = 4 * MIB;
const MAX_ALL_KEPT_BYTES = 64 * MIB;
const CALLER_KEPT_SHARE = 1 / 4;
/** Does not count, so that ordinary requests are served whatever others send. */
const FREE_BYTES = 64 * 1024;

export class RequestLoad {
  readonly #reading = new Admission(READING);
  readonly #relaying = new Admission(RELAYING);
  readonly #readingLfs = new Admission(READING_LFS);
  readonly #planning: Admission;
  readonly #memory: Admission;
  readonly #readers: AnswerReaders;
  readonly #kept: ByteBudget;
  readonly #bodyTime: BodyTime;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(limits: LoadLimits = DEFAULT_LOAD_LIMITS, bodyTime = BODY_TIME, now = () => performance.now()) {
    const { maxPlans, maxPlansOfCaller, isShort } = limits;
    const { memoryBytes = MEMORY_BYTES, keptBytes = MAX_ALL_KEPT_BYTES } = limits;
    this.#readers = new AnswerReaders(now);
    this.#kept = new ByteBudget(keptBytes, keptBytes * CALLER_KEPT_SHARE);
    const waiting = {
      maxWaiting: MAX_WAITING_PLANS,
      maxWaitingOfCaller: MAX_WAITING_PLANS_OF_CALLER,
      maxWaitMs: MAX_PLAN_WAIT_MS,
    };
    this.#planning = new Admission({
      ...waiting,
      maxRunning: maxPlans,
      maxRunningOfCaller: maxPlansOfCaller,
    });
    this.#memory = new Admission({
      ...{ ...waiting, ...CALLER_MEMORY, maxRunning: memoryBytes, ...(isShort && { isShort }) },
      reserve: { weight: memoryBytes * RESERVE_SHARE, maxWeight: MAX_RESERVED_PLAN_BYTES },
      makeRoom: ({ weight, onlyOf }) => this.#readers.cutIdle(weight, onlyOf),
    });
    this.#bodyTime = bodyTime;
  }

  /**
   * Waits until the body may be read, and serves.
   * @throws {OverloadedError} @throws The signal's reason. And whatever `work` throws.
   */
  async serve(
    served: ServedRequest,
    work: (admitted: AdmittedRequest) => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    const { caller, signal, cut } = served;
    const reader = cut && this.#readers.add(caller, cut);
    const admitted = await this.#enter(served, (bytes) => {
      if (reader !== undefined) reader.heldBytes = bytes;
    });
    return answerWithin(admitted.end, signal, async () => {
      const response = await work(admitted);
      return reader === undefined ? response : { ...response, body: reader.watched(response.body) };
    });
  }

  /** Waits until a push may be passed through. As `serve`, with limits of its own: a push may take hours. */
  async relay({ caller, signal }: ServedRequest, work: () => Promise<HttpResponse>): Promise<HttpResponse> {
    return answerWithin(await this.#relaying.enter(caller.name, signal), signal, work);
  }

  /**
   * The body of a request of git-lfs; its first chunk waits until it may be read.
   * @throws {OverloadedError} @throws The signal's reason. Both while iterating.
   */
  async *lfsBody(
    { caller: { name, token }, signal }: ServedRequest,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const groups = token === undefined ? [] : [{ key: token, ...LFS_OF_TOKEN }];
    const running = await this.#readingLfs.enterWith(name, signal, { weight: 1, groups });
    try {
      yield* bodyWithin(chunks, this.#bodyTime);
    } finally {
      running.end();
    }
  }

  async #enter(
    { caller: { name: caller, token, block }, signal }: ServedRequest,
    onHeld: (bytes: number) => void,
  ): Promise<AdmittedRequest> {
    const endReading = await this.#reading.enter(caller, signal);
    let endPlanning: (() => void) | undefined;
    let memory: RunningTask | undefined;
    let planBytes = 0;
    const groups = [
      ...(token === undefined ? [] : [{ key: token, ...TOKEN_MEMORY }]),
      { key: block, ...BLOCK_MEMORY },
    ];
    let hasEnded = false;
    let keptBytes = 0;
    let countedBytes = 0;
    const leaveTurn = () => {
      endPlanning?.();
      memory?.end();
      endPlanning = undefined;
      memory = undefined;
    };
    // Memory first: who waits for it, behind slow readers of the same caller, must not have a turn meanwhile.
    const startPlanning = async () => {
      memory = await this.#memory.enterWith(caller, signal, { weight: planBytes, groups });
      try {
        endPlanning = await this.#planning.enter(caller, signal);
      } finally {
        if (hasEnded || endPlanning === undefined) leaveTurn();
      }
    };
    return {
      body: (chunks) => bodyWithin(chunks, this.#bodyTime),
      keep: (bytes) => {
        keptBytes += bytes;
        if (keptBytes > MAX_KEPT_BYTES)
          throw new LimitExceededError("the request names too much", { maxBytes: MAX_KEPT_BYTES });
        const excess = keptBytes - FREE_BYTES - countedBytes;
        if (excess <= 0) return;
        this.#kept.take(caller, excess);
        countedBytes += excess;
      },
      bodyRead: endReading,
      startPlanning: (bytes) => {
        planBytes = bytes;
        return startPlanning();
      },
      outside: async (wait) => {
        const wasPlanning = endPlanning !== undefined;
        leaveTurn();
        const result = await wait();
        if (wasPlanning) await startPlanning();
        return result;
      },
      planned: (heldBytes) => {
        onHeld(heldBytes);
        memory?.resizeTo(heldBytes);
        endPlanning?.();
      },
      end: () => {
        if (hasEnded) return;
        hasEnded = true;
        endReading();
        leaveTurn();
        this.#kept.release(caller, countedBytes);
      },
    };
  }
}

export interface ServedRequest {
  readonly caller: RequestCaller;
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal;
  /** See `HttpRequest`. */
  readonly cut?: (() => void) | undefined;
}

export interface AdmittedRequest {
  /** The body's chunks. While iterating: {@link OverloadedError} if it takes too long. */
  body(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Counts what is kept of the body. @throws {LimitExceededError} @throws {OverloadedError} */
  keep(bytes: number): void;
  bodyRead(): void;
  /**
   * Waits for a turn.
   * @param planBytes - What the plan and its answer may take.
   * @throws {OverloadedError} @throws The signal's reason.
   */
  startPlanning(planBytes: number): Promise<void>;
  /** Leaves the turn while it waits for something else, if it has one. */
  outside<Result>(wait: () => Promise<Result>): Promise<Result>;
  /** @param heldBytes - What the answer takes until it is sent. */
  planned(heldBytes: number): void;
  /** Once the answer has been sent, or is not going to be. */
  end(): void;
}

/** @param leave - Called once the answer has been sent, or is not going to be. */
async function answerWithin(
  leave: () => void,
  signal: AbortSignal,
  work: () => Promise<HttpResponse>,
): Promise<HttpResponse> {
  signal.addEventListener("abort", leave, { once: true });
  const end = (): void => {
    signal.removeEventListener("abort", leave);
    leave();
  };
  try {
    const response = await work();
    return { ...response, body: endingWith(response.body, end) };
  } catch (error) {
    end();
    throw error;
  }
}

async function* endingWith(
  body: AsyncIterable<Uint8Array>,
  end: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body;
  } finally {
    end();
  }
}

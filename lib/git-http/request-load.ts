/**
 * What requests may use of the process. One of `git-upload-pack`, in order:
 *
 * 1. Its body is read: so many bodies at a time, each within a time limit and at a minimum rate. Lines that are kept count against a
 *    budget.
 * 2. It waits for memory and for its turn to plan, and leaves both while it waits for a sync.
 * 3. Once it is planned, only its reader pulls: it keeps what memory the answer takes until the reader has it all. While others wait
 *    for memory, slow readers are cut.
 *
 * All that is refused is refused before the first byte of a pack.
 */
import { LimitExceededError } from "../errors.ts";
import { untilAborted } from "../git/until-aborted.ts";
import { Admission, overloaded, type RunningTask, tooMany } from "../http/admission.ts";
import { BodyAdmission } from "../http/body-admission.ts";
import type { BodyTime } from "../http/body-within.ts";
import { ByteBudget } from "../http/byte-budget.ts";
import type { HttpResponse } from "../http/message.ts";
import { RunningTasks } from "../http/running-tasks.ts";
import { groupsOf, type RequestCaller } from "../request-caller.ts";
import { AnswerReaders } from "./answer-readers.ts";
import {
  BODY_TIME,
  CALLER_KEPT_SHARE,
  FREE_BYTES,
  MAX_ALL_KEPT_BYTES,
  MAX_KEPT_BYTES,
  MEMORY_BYTES,
  memoryLimits,
  planningLimits,
  READING,
  READING_LFS,
  RELAYING,
  WAITING_FOR_REFS,
} from "./load-limits.ts";

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

const DEFAULT_LOAD_LIMITS: LoadLimits = { maxPlans: 64, maxPlansOfCaller: 8 };

export class RequestLoad {
  readonly #reading: BodyAdmission;
  readonly #readingLfs: BodyAdmission;
  readonly #relaying: BodyAdmission;
  readonly #waitingForRefs = new RunningTasks(WAITING_FOR_REFS);
  readonly #bodyTime: BodyTime;
  readonly #planningLimits: ReturnType<typeof planningLimits>;
  readonly #planning: Admission;
  readonly #memoryLimits: ReturnType<typeof memoryLimits>;
  readonly #memory: Admission;
  readonly #readers: AnswerReaders;
  readonly #kept: ByteBudget;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(limits: LoadLimits = DEFAULT_LOAD_LIMITS, bodyTime = BODY_TIME, now = () => performance.now()) {
    const { maxPlans, maxPlansOfCaller, isShort } = limits;
    const { memoryBytes = MEMORY_BYTES, keptBytes = MAX_ALL_KEPT_BYTES } = limits;
    this.#reading = new BodyAdmission(READING, now);
    this.#readingLfs = new BodyAdmission(READING_LFS, now);
    this.#relaying = new BodyAdmission(RELAYING, now);
    this.#bodyTime = bodyTime;
    this.#readers = new AnswerReaders(now);
    this.#kept = new ByteBudget(keptBytes, keptBytes * CALLER_KEPT_SHARE);
    this.#planningLimits = planningLimits(maxPlans, maxPlansOfCaller);
    this.#planning = new Admission(this.#planningLimits);
    this.#memoryLimits = memoryLimits(memoryBytes);
    this.#memory = new Admission({
      ...this.#memoryLimits,
      ...(isShort && { isShort }),
      makeRoom: (needed) => this.#readers.makeRoom(needed),
    });
  }

  /**
   * Serves within the limits.
   * @throws Whatever `work` throws.
   */
  async serve(
    served: ServedRequest,
    work: (admitted: AdmittedRequest) => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    const { caller, signal, cut } = served;
    const reader = cut && this.#readers.add(caller, cut);
    const admitted = this.#admit(served, (bytes) => {
      if (reader !== undefined) reader.heldBytes = bytes;
    });
    return answerWithin(admitted.end, signal, async () => {
      const response = await work(admitted);
      return reader === undefined ? response : { ...response, body: reader.watched(response.body) };
    });
  }

  /**
   * Waits until a push may be passed through. As `serve`, with limits of its own: a push may take hours, but while others wait, one that
   * sends next to nothing is cut.
   * @param work - Its argument is `body`, which ends with an {@link OverloadedError} then.
   */
  async relay(
    { caller, signal }: ServedRequest,
    body: AsyncIterable<Uint8Array>,
    work: (body: AsyncIterable<Uint8Array>) => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    const groups = groupsOf(caller, RELAYING);
    const place = await this.#relaying.enter({ caller: caller.name, groups, signal });
    return answerWithin(place.end, signal, () => work(place.watched((cut) => untilAborted(body, cut))));
  }

  /**
   * Runs `wait`, which ends soon after the caller has left.
   * @throws {OverloadedError} Too many wait. @throws Whatever `wait` throws.
   */
  async waitForRefs<Result>(caller: RequestCaller, wait: () => Promise<Result>): Promise<Result> {
    const task = { caller: caller.name, weight: 1, groups: groupsOf(caller, WAITING_FOR_REFS) };
    const place = this.#waitingForRefs.take(task);
    if (place === undefined)
      throw this.#waitingForRefs.limitedKey(task) === undefined
        ? overloaded()
        : tooMany("of yours that wait");
    try {
      return await wait();
    } finally {
      this.#waitingForRefs.resize(place, 0);
    }
  }

  /**
   * The body of a request of git-lfs; its first chunk waits until it may be read.
   * @throws {OverloadedError} @throws The signal's reason. Both while iterating.
   */
  lfsBody({ caller, signal }: ServedRequest, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return this.#readingLfs.read(
      { caller: caller.name, groups: groupsOf(caller, READING_LFS), signal },
      chunks,
      this.#bodyTime,
    );
  }

  #admit({ caller: asker, signal }: ServedRequest, onHeld: (bytes: number) => void): AdmittedRequest {
    const { name: caller } = asker;
    let planning: RunningTask | undefined;
    let memory: RunningTask | undefined;
    let planBytes = 0;
    let hasEnded = false;
    let keptBytes = 0;
    let countedBytes = 0;
    const leaveTurn = () => {
      planning?.end();
      memory?.end();
      planning = undefined;
      memory = undefined;
    };
    // Memory first: who waits for it, behind slow readers of the same caller, must not have a turn meanwhile.
    const startPlanning = async () => {
      const memoryGroups = groupsOf(asker, this.#memoryLimits);
      memory = await this.#memory.enterWith(caller, signal, { weight: planBytes, groups: memoryGroups });
      try {
        const groups = groupsOf(asker, this.#planningLimits);
        planning = await this.#planning.enterWith(caller, signal, { weight: 1, groups });
      } finally {
        if (hasEnded || planning === undefined) leaveTurn();
      }
    };
    return {
      body: (chunks) =>
        this.#reading.read({ caller, groups: groupsOf(asker, READING), signal }, chunks, this.#bodyTime),
      keep: (bytes) => {
        keptBytes += bytes;
        if (keptBytes > MAX_KEPT_BYTES)
          throw new LimitExceededError("the request names too much", { maxBytes: MAX_KEPT_BYTES });
        const excess = keptBytes - FREE_BYTES - countedBytes;
        if (excess <= 0) return;
        this.#kept.take(caller, excess);
        countedBytes += excess;
      },
      startPlanning: (bytes) => {
        planBytes = bytes;
        return startPlanning();
      },
      outside: async (wait) => {
        const wasPlanning = planning !== undefined;
        leaveTurn();
        const result = await wait();
        if (wasPlanning) await startPlanning();
        return result;
      },
      planned: (heldBytes) => {
        onHeld(heldBytes);
        memory?.resizeTo(heldBytes);
        planning?.end();
      },
      end: () => {
        if (hasEnded) return;
        hasEnded = true;
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
  /** The body's chunks; the first waits until it may be read. While iterating: {@link OverloadedError} if that takes too long. */
  body(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Counts what is kept of the body. @throws {LimitExceededError} @throws {OverloadedError} */
  keep(bytes: number): void;
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

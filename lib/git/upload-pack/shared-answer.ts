/**
 * Plans an answer: made for everyone who asks for the same at this time or later, or for one client alone. What fails with
 * others is made alone, so that sharing never fails a request.
 */
import { writePack } from "../pack/write-pack.ts";
import type { AnswerItem, AnswerRequest, SharedAnswers } from "../ports.ts";
import { plannedBytes } from "./answer-limit.ts";
import { AnswerReader, encodeAnswerHead, MAX_HEAD_IDS } from "./answer-reader.ts";
import type { AnswerPlanning, PackPlan, Planning } from "./plan.ts";
import type { ShallowLines, ShallowPlan } from "./shallow.ts";

/**
 * Of one answer: where a shallow clone of one branch has more, few ask for the same, and a store full of them costs more than
 * making them anew.
 */
const MAX_SHARED_BYTES = 512 * 1024 * 1024;

/** Thrown while making an answer that must not be shared: each reader makes its own. */
export class UnsharedAnswerError extends Error {
  override readonly name = "UnsharedAnswerError";
}

export interface SharedAnswerPlan {
  /** The client's shallow lines. */
  readonly shallow: ShallowLines | undefined;
  readonly planning: AnswerPlanning;
}

/** What it takes to make an answer. Each may be called again. */
export interface AnswerWork {
  planShallow(): Promise<ShallowPlan | undefined>;
  planPack(shallow: ShallowPlan | undefined): Promise<Planning>;
  readonly ofsDelta: boolean;
}

export class SharedAnswer {
  readonly #workFor: (signal: AbortSignal | undefined) => AnswerWork;
  /** This request makes the answer; others may get it too. */
  #isMaker = false;
  /** Found to be too large for others, by this request itself. */
  #ownPlan: PackPlan | undefined;

  /** @param workFor - The work; its reads end when the signal aborts. */
  constructor(workFor: (signal: AbortSignal | undefined) => AnswerWork) {
    this.#workFor = workFor;
  }

  async plan(answers: SharedAnswers | undefined, request: AnswerRequest): Promise<SharedAnswerPlan> {
    const work = this.#workFor(request.signal);
    const reader = await openAnswer(answers, request);
    if (reader !== undefined) {
      const origin = this.#isMaker ? "planned" : "shared";
      return { shallow: reader.shallow, planning: reader.planPack(origin, () => this.#planPackAlone(work)) };
    }
    const shallow = await work.planShallow();
    return { shallow, planning: await work.planPack(shallow) };
  }

  /** The shallow lines, without the pack. */
  async findShallow(
    answers: SharedAnswers | undefined,
    { make: _, ...search }: AnswerRequest,
  ): Promise<ShallowLines | undefined> {
    const reader = await openAnswer(answers, search);
    if (reader === undefined) return this.#workFor(search.signal).planShallow();
    await reader.close();
    return reader.shallow;
  }

  async *#planPackAlone(work: AnswerWork): Planning {
    if (this.#ownPlan !== undefined) return this.#ownPlan;
    return yield* await work.planPack(await work.planShallow());
  }

  /**
   * @param signal - Aborts when no reader is left.
   * @param maxBytes - See {@link SharedAnswers}.
   * @throws {UnsharedAnswerError} It turns out that it is not for others.
   */
  async *make(signal: AbortSignal, maxBytes = MAX_SHARED_BYTES): AsyncGenerator<AnswerItem, void> {
    this.#isMaker = true;
    const work = this.#workFor(signal);
    const shallow = await work.planShallow();
    const idCount = shallow === undefined ? 0 : shallow.shallowIds.length + shallow.unshallowIds.length;
    if (idCount > MAX_HEAD_IDS) throw new UnsharedAnswerError();
    yield encodeAnswerHead(shallow);
    const plan = yield* await work.planPack(shallow);
    if (plan.kind !== "copy-entries" || plannedBytes(plan) > Math.min(MAX_SHARED_BYTES, maxBytes)) {
      this.#ownPlan = plan;
      throw new UnsharedAnswerError();
    }
    yield* writePack({ ...plan, ofsDelta: work.ofsDelta, isKept: true });
  }
}

async function openAnswer(
  answers: SharedAnswers | undefined,
  request: AnswerRequest,
): Promise<AnswerReader | undefined> {
  const items = await answers?.open(request);
  return items && AnswerReader.open(items);
}

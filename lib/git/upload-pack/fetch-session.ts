/** One fetch: refuses what may not be wanted, negotiates, plans the shallow lines and the pack. */
import type { ObjectId } from "../object-id.ts";
import type { AnswerRequest, ObjectReader, Ref, RefList, UploadPackSource } from "../ports.ts";
import type { ObjectFilter } from "../walk/object-filter.ts";
import { findPresent, findServedBy } from "../walk/reachable.ts";
import { WorkSlices } from "../work-slices.ts";
import { type AnswerSubject, answerKey, isWorthSharing } from "./answer-key.ts";
import { findRefusedWant, wantsBesideTips } from "./check-wants.ts";
import { CommonHaves } from "./common-haves.ts";
import type { FetchRequest } from "./fetch-request.ts";
import { loadFilter } from "./filter-spec.ts";
import { findRef, resolveHead } from "./find-refs.ts";
import { planByRecipe } from "./kept-recipe.ts";
import type { Negotiation } from "./negotiate.ts";
import { canOfferPacks, offerPacks } from "./packfile-uris.ts";
import {
  type AnswerPlanning,
  copiesPacks,
  type PackRequest,
  type Planning,
  planPack,
  wantsAllTips,
} from "./plan.ts";
import { assertRecentSuffice } from "./recent-fetch.ts";
import { NotHereError } from "./refused-request.ts";
import { planShallow, type ShallowLines, type ShallowPlan } from "./shallow.ts";
import { SharedAnswer, type SharedAnswerPlan } from "./shared-answer.ts";

export interface PlannedAnswer extends SharedAnswerPlan {
  /** The section of the answer that names packs to be fetched from elsewhere; empty if there are none. */
  readonly uriLines: readonly Uint8Array[];
}

interface OpenSession {
  readonly source: UploadPackSource;
  readonly refList: RefList;
  readonly request: FetchRequest;
  readonly wantedRefs: readonly Ref[];
}

export class FetchSession {
  /** Those wanted by name included. */
  readonly wants: readonly ObjectId[];
  /** What the refs that were wanted by name point to. */
  readonly wantedRefs: readonly Ref[];
  /** For this client alone. */
  readonly #source: UploadPackSource;
  readonly #refList: RefList;
  readonly #request: FetchRequest;
  #commonCommits: readonly number[] = [];
  #commonIds: ReadonlySet<ObjectId> = new Set();
  #filter: Promise<ObjectFilter | undefined> | undefined;
  readonly #answer: SharedAnswer;

  private constructor(sharedSource: UploadPackSource, { source, refList, request, wantedRefs }: OpenSession) {
    this.#source = source;
    this.#refList = refList;
    this.#request = request;
    this.wantedRefs = wantedRefs;
    this.wants = [...new Set([...request.wants, ...wantedRefs.map(({ id }) => id)])];
    this.#answer = new SharedAnswer((signal) => {
      const work = sharedSource.forReader(signal);
      return {
        planShallow: () => this.planShallow(work),
        planPack: async (shallow) => this.#planPack(work, shallow, await this.#loadFilter()),
        ofsDelta: request.ofsDelta,
      };
    });
  }

  /**
   * @param signal - Aborts when the client has left: ends what is read for it alone.
   * @throws {NotHereError} It wants what is not here or not to be had.
   */
  static async open(
    sharedSource: UploadPackSource,
    request: FetchRequest,
    signal: AbortSignal | undefined,
  ): Promise<FetchSession> {
    const source = sharedSource.forReader(signal);
    const refList = await source.readRefs();
    const wantedRefs = await findWantedRefs(refList, request.wantRefs, new WorkSlices({ signal }));
    const refusedId = await findRefusedWant(source, refList, request.wants);
    if (refusedId !== undefined)
      throw new NotHereError(`upload-pack: not our ref ${refusedId}`, { missing: refusedId });
    return new FetchSession(sharedSource, { source, refList, request, wantedRefs });
  }

  /**
   * @param shallows - Commits below which nothing counts as the client's.
   * @throws {BeyondRecentError} The source's objects do not suffice.
   */
  async negotiate(
    run: (haves: CommonHaves) => Promise<Negotiation>,
    shallows: readonly ObjectId[] = [],
  ): Promise<Negotiation> {
    // A clone has no haves: then the objects need not be opened, which takes a round to the store.
    const { haves: haveIds } = this.#request;
    const { mayHoldUnreachable } = this.#source;
    const objects = haveIds.length === 0 ? NO_OBJECTS : await this.#source.openObjects();
    const findServed = await findServedBy(objects, this.#refList, mayHoldUnreachable && haveIds.length > 0);
    const haves = new CommonHaves(objects, this.wants, { findServed, shallows });
    const negotiation = await run(haves);
    this.#commonCommits = haves.commitNumbers;
    this.#commonIds = haves.ids;
    if (this.#source.isRecent) {
      await assertRecentSuffice(await this.#source.openObjects(), {
        ...{ wants: this.wants, haves: haveIds, commonIds: haves.ids, sendsPack: negotiation.sendsPack },
      });
    }
    return negotiation;
  }

  /** @returns `undefined` if neither the client's history ends early nor is it to. */
  async planShallow(source = this.#source): Promise<ShallowPlan | undefined> {
    const { shallows, deepen } = this.#request;
    if (shallows.length === 0 && deepen === undefined) return undefined;
    return planShallow(source, this.#refList, this.#request, this.wants);
  }

  /**
   * What the client has to know before the pack, and the plan of what is left to send. After `negotiate`.
   * @param signal - Aborts when the client has gone.
   */
  async planAnswer(signal: AbortSignal | undefined): Promise<PlannedAnswer> {
    const request = (await this.requestAnswer(signal)) ?? (await this.#repeatedRequest(signal));
    if (request === undefined) return this.#planAlone(signal);
    return { ...(await this.#answer.plan(this.#source.answers, request)), uriLines: [] };
  }

  async #planAlone(signal: AbortSignal | undefined): Promise<PlannedAnswer> {
    const shallow = await this.planShallow();
    const planning = this.#planPack(this.#source, shallow, await this.#loadFilter());
    const { uriProtocols, ofsDelta, filter } = this.#request;
    // Packs are whole, and hold deltas by offset.
    const takesPacks = uriProtocols.length > 0 && ofsDelta && filter === undefined && shallow === undefined;
    if (!takesPacks || !canOfferPacks(this.#source, uriProtocols)) {
      return { shallow, uriLines: [], planning: (await this.#planByRecipe(signal)) ?? planning };
    }
    const { uriLines, planning: rest } = await offerPacks(this.#source, planning, uriProtocols);
    return { shallow, uriLines, planning: rest };
  }

  /** @returns `undefined` where a recipe does not apply: the client has objects, or a plan is quick. */
  async #planByRecipe(signal: AbortSignal | undefined): Promise<AnswerPlanning | undefined> {
    const { recipes, packBodies: bodies, streamBudget } = this.#source;
    const { shallows, deepen, ofsDelta } = this.#request;
    const isClone = this.#commonIds.size === 0 && shallows.length === 0 && deepen === undefined;
    if (recipes === undefined || !isClone) return undefined;
    const filter = await this.#loadFilter();
    const packRequest = this.#packRequest(undefined, filter);
    const isWhole = wantsAllTips(this.#source, this.#refList, packRequest);
    const plan = (): Planning => planPack(this.#source, this.#refList, packRequest, isWhole);
    if (isWhole && copiesPacks(packRequest)) return plan();
    // What a partial clone lacks is asked for by itself, object by object: a recipe of each would cost more than it.
    if (!isWhole && wantsBesideTips(this.#refList, this.wants).length > 0) return plan();
    const subject = { wants: this.wants, commonIds: this.#commonIds, shallows, filter };
    const key = await this.#keyOf(subject, signal);
    if (key === undefined) return plan();
    return planByRecipe({ recipes, answerKey: key, bodies, ofsDelta, signal, streamBudget }, plan);
  }

  /** The shallow lines, where no pack follows. */
  async findShallow(signal: AbortSignal | undefined): Promise<ShallowLines | undefined> {
    const request = await this.requestAnswer(signal);
    return request === undefined
      ? this.planShallow()
      : this.#answer.findShallow(this.#source.answers, request);
  }

  /** @returns `undefined` if the answer is made for this client alone. */
  async requestAnswer(signal: AbortSignal | undefined): Promise<AnswerRequest | undefined> {
    const { answers } = this.#source;
    if (answers === undefined || !isWorthSharing(this.#request)) return undefined;
    const { shallows } = this.#request;
    const objects = shallows.length === 0 ? NO_OBJECTS : await this.#source.openObjects();
    const subject = {
      wants: this.wants,
      commonIds: this.#commonIds,
      shallows: await findPresent(objects, shallows),
      filter: await this.#loadFilter(),
    };
    const key = await this.#keyOf(subject, signal);
    // Clients that have something are rarely alike, but for those that start at the same time.
    const isKept = subject.commonIds.size === 0 && subject.shallows.length === 0;
    return key === undefined
      ? undefined
      : { key, isKept, signal, make: (making) => this.#answer.make(making, answers.maxBytes) };
  }

  /** @returns `undefined` unless others ask for the same now, and it is not put together quickly from packs or a recipe. */
  async #repeatedRequest(signal: AbortSignal | undefined): Promise<AnswerRequest | undefined> {
    const { answers, recipes, handsOutUrls } = this.#source;
    const { shallows, deepen, uriProtocols } = this.#request;
    const takesPacks = uriProtocols.length > 0 && handsOutUrls;
    const isByRecipe = recipes !== undefined && this.#commonIds.size === 0;
    if (answers === undefined || takesPacks || isByRecipe) return undefined;
    // See answer-key.ts: what is below such commits need not be reachable from the wants.
    if (shallows.length > 0 || deepen !== undefined) return undefined;
    const filter = await this.#loadFilter();
    const packRequest = this.#packRequest(undefined, filter);
    if (copiesPacks(packRequest) && wantsAllTips(this.#source, this.#refList, packRequest)) return undefined;
    const subject = { wants: this.wants, commonIds: this.#commonIds, shallows, filter };
    const key = await this.#keyOf(subject, signal);
    if (key === undefined || !answers.isRepeated(key)) return undefined;
    return { key, isKept: false, signal, make: (making) => this.#answer.make(making) };
  }

  #keyOf(subject: AnswerSubject, signal: AbortSignal | undefined): Promise<string | undefined> {
    return answerKey(this.#request, this.#refList, subject, new WorkSlices({ signal }));
  }

  async #loadFilter(): Promise<ObjectFilter | undefined> {
    const { filter } = this.#request;
    if (filter === undefined) return undefined;
    this.#filter ??= loadFilter(this.#source, this.#refList, filter);
    return this.#filter;
  }

  #planPack(
    source: UploadPackSource,
    shallow: ShallowPlan | undefined,
    filter: ObjectFilter | undefined,
  ): Planning {
    return planPack(source, this.#refList, this.#packRequest(shallow, filter));
  }

  #packRequest(shallow: ShallowPlan | undefined, filter: ObjectFilter | undefined): PackRequest {
    return {
      wants: this.wants.filter((id) => !this.#commonIds.has(id)),
      commonCommits: this.#commonCommits,
      thinPack: this.#request.thinPack,
      ofsDelta: this.#request.ofsDelta,
      includeTag: this.#request.includeTag,
      shallow: shallow?.history,
      filter,
    };
  }
}

const NO_OBJECTS: ObjectReader = {
  objectCount: 0,
  slices: new WorkSlices(),
  find: () => -1,
  findId: () => -1,
  objectId: noObject,
  read: noObject,
  readType: noObject,
  readSize: noObject,
  readAhead: noObject,
};

function noObject(): never {
  throw new RangeError("there are no objects here");
}

/** A look-up by name among many, in steps of `WorkSlices`. */
const REF_STEPS = 3;

async function findWantedRefs(
  refList: RefList,
  names: readonly string[],
  slices: WorkSlices,
): Promise<Ref[]> {
  const wanted: Ref[] = [];
  for (const name of names) {
    if (slices.isDue(REF_STEPS)) await slices.pause();
    const ref = findRef(refList, name) ?? (name === "HEAD" ? resolveHead(refList) : undefined);
    if (ref === undefined) throw new NotHereError(`unknown ref ${name}`, { missing: name });
    wanted.push({ name, id: ref.id });
  }
  return wanted;
}

/** The server side of a fetch, from request bytes to answer bytes: parse, negotiate, plan, respond. */
import { LimitExceededError } from "../../errors.ts";
import type { ObjectId } from "../object-id.ts";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../pktline.ts";
import type { UploadPackSource } from "../ports.ts";
import { WorkSlices } from "../work-slices.ts";
import { planWithinLimit, settled } from "./answer-limit.ts";
import { listBundles } from "./bundle-uri.ts";
import type { FetchRequest, FetchRequestV0, LsRefsRequest, RequestLimits } from "./fetch-request.ts";
import { FetchSession } from "./fetch-session.ts";
import { findMissingRef, listRefs } from "./ls-refs.ts";
import { negotiateV0, negotiateV2 } from "./negotiate.ts";
import { listObjectInfo } from "./object-info.ts";
import type { AnswerPlanning } from "./plan.ts";
import { maxPlanBytes, namedCountOf, planHeldBytes } from "./plan-memory.ts";
import { readRequestV0 } from "./read-request-v0.ts";
import { readRequestV2 } from "./read-request-v2.ts";
import { answerFromRecent } from "./recent-fetch.ts";
import { errPacket, NotHereError, RefusedRequestError } from "./refused-request.ts";
import {
  bandedLines,
  originOf,
  type PackOrigin,
  type RespondOptions,
  respondV0,
  respondV2,
} from "./respond.ts";
import { encodeShallowLines, type ShallowLines } from "./shallow.ts";

export interface UploadPackOptions extends RespondOptions {
  readonly protocol: 0 | 1 | 2;
  readonly limits: RequestLimits;
  readonly newer?: NewerSource;
  readonly turn?: PlanningTurn;
}

export interface PlannedPack {
  readonly origin: PackOrigin;
  /** The client has said of no commit that it has it. */
  readonly isClone: boolean;
}

/** Limits how many requests are planned at a time. */
interface PlanningTurn {
  /** Waits for a turn. May reject. @param planBytes - What the plan and its answer may take. */
  startPlanning(planBytes: number): Promise<void>;
  /**
   * Called when the pack begins, or the plan failed.
   * @param heldBytes - What the answer takes until it is sent.
   */
  planned(heldBytes: number, pack?: PlannedPack): void;
}

/** `listed`: a repository's refs are asked for. Else a ref or an id is asked for that is not here. */
export type NewerCause = "listed" | { readonly missing: string };

export interface Newer<Source = UploadPackSource> {
  readonly source: Source;
  /** Why the primary was not asked for what is missing, and what to do; absent: it was asked. */
  readonly notAsked?: string;
}

/** The same repository as it has become meanwhile; `undefined` if there is nothing newer. */
export type NewerSource = (cause: NewerCause) => Promise<Newer | undefined>;

/** Of a name in an ERR line, which has a limit. */
const MAX_NAME = 1_000;

type Answer = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Answers one request, as `git upload-pack --stateless-rpc` would. All that can be refused is refused before the promise
 * resolves or as an ERR line.
 * @throws {ProtocolError} The request is malformed. @throws {LimitExceededError} It is too large.
 */
export async function uploadPack(
  source: UploadPackSource,
  body: AsyncIterable<Uint8Array>,
  options: UploadPackOptions,
): Promise<Answer> {
  try {
    return options.protocol === 2
      ? await uploadPackV2(source, body, options)
      : await uploadPackV0(source, body, options);
  } catch (error) {
    if (error instanceof RefusedRequestError) return [errPacket(error)];
    throw error;
  }
}

async function uploadPackV0(
  source: UploadPackSource,
  body: AsyncIterable<Uint8Array>,
  options: UploadPackOptions,
): Promise<Answer> {
  const request = await readRequestV0(body, options.limits);
  if (request === undefined) return [];
  return refusingWhatIsTooMuch(() => fetchV0(source, request, options));
}

async function fetchV0(
  source: UploadPackSource,
  request: FetchRequestV0,
  options: UploadPackOptions,
): Promise<Answer> {
  if (request.hasEndedEarly && request.deepen === undefined) return [];
  await options.turn?.startPlanning(maxPlanBytes(source, namedCountOf(request)));
  const session = await openSession(source, request, options);
  const slices = new WorkSlices({ signal: options.signal });
  if (request.hasEndedEarly)
    return shallowSection(request, await session.findShallow(options.signal), slices);
  const { deepen, isDone, shallows } = request;
  const planned = deepen === undefined || isDone ? undefined : await session.planShallow();
  // As in git, which reads and answers the shallow lines before the haves in this protocol, and after them in version 2.
  const { lines, sendsPack } = await session.negotiate(
    (haves) => negotiateV0(request, haves),
    clientShallows(shallows, planned),
  );
  if (!sendsPack) return [...(await shallowSection(request, planned, slices)), ...lines];
  const { shallow, planning } = await session.planAnswer(options.signal);
  return respondV0(
    [...(await shallowSection(request, shallow, slices)), ...lines],
    request,
    await planWithinLimit(source, noted(planning, request, options.turn), options.answerLimit),
    options,
  );
}

/** Where the client's history ends once it has read the shallow section. */
function clientShallows(
  shallows: readonly ObjectId[],
  planned: ShallowLines | undefined,
): readonly ObjectId[] {
  if (planned === undefined) return shallows;
  const unshallowed = new Set(planned.unshallowIds);
  return [...shallows.filter((id) => !unshallowed.has(id)), ...planned.shallowIds];
}

/** Only requests with `deepen` get this section. */
async function shallowSection(
  { deepen }: FetchRequestV0,
  shallow: ShallowLines | undefined,
  slices: WorkSlices,
): Promise<Uint8Array[]> {
  if (deepen === undefined || shallow === undefined) return [];
  return [...(await encodeShallowLines(shallow, slices)), FLUSH_PKT];
}

async function uploadPackV2(
  source: UploadPackSource,
  body: AsyncIterable<Uint8Array>,
  options: UploadPackOptions,
): Promise<Answer> {
  const request = await readRequestV2(body, options.limits, source);
  const ownSource = source.forReader(options.signal);
  switch (request.command) {
    case "none":
      return [];
    case "ls-refs":
      return listNewestRefs(ownSource, request.lsRefs, options);
    case "object-info":
      await options.turn?.startPlanning(maxPlanBytes(source, request.objectInfo.ids.length));
      return listObjectInfo(ownSource, request.objectInfo, () => options.turn?.planned(0));
    case "bundle-uri":
      return listBundles(ownSource);
    case "fetch":
      return refusingWhatIsTooMuch(() => fetchV2(source, request.fetch, options));
  }
}

async function listNewestRefs(
  source: UploadPackSource,
  request: LsRefsRequest,
  { newer, signal }: UploadPackOptions,
): Promise<Answer> {
  const refList = await ((await newer?.("listed"))?.source ?? source).readRefs();
  const slices = new WorkSlices({ signal });
  const missing = await findMissingRef(refList, request, slices);
  const newest = missing && (await newer?.({ missing: missing.name }));
  if (newest === undefined) return listRefs(refList, request, slices);
  const newestList = await newest.source.readRefs();
  const still = newest.notAsked === undefined ? undefined : await findMissingRef(newestList, request, slices);
  // git would only say that it could not find the ref.
  if (still?.isOne)
    throw new RefusedRequestError(`no ref ${still.name.slice(0, MAX_NAME)} here: ${newest.notAsked}`);
  return listRefs(newestList, request, slices);
}

async function openSession(
  source: UploadPackSource,
  request: FetchRequest,
  { newer, signal }: UploadPackOptions,
): Promise<FetchSession> {
  try {
    return await FetchSession.open(source, request, signal);
  } catch (error) {
    if (!(error instanceof NotHereError) || source.isRecent) throw error;
    const newest = await newer?.({ missing: error.missing });
    if (newest === undefined) throw error;
    return openNewest(newest, request, signal);
  }
}

async function openNewest(
  { source, notAsked }: Newer,
  request: FetchRequest,
  signal: AbortSignal | undefined,
): Promise<FetchSession> {
  try {
    return await FetchSession.open(source, request, signal);
  } catch (error) {
    if (!(error instanceof NotHereError) || notAsked === undefined) throw error;
    throw new NotHereError(`${error.message}: ${notAsked}`, { missing: error.missing, cause: error });
  }
}

async function fetchV2(
  source: UploadPackSource,
  request: FetchRequest,
  options: UploadPackOptions,
): Promise<Answer> {
  await options.turn?.startPlanning(maxPlanBytes(source, namedCountOf(request)));
  const answer = (from: UploadPackSource) => fetchV2From(from, request, options);
  return (await answerFromRecent(source, request, options.signal, answer)) ?? (await answer(source));
}

async function fetchV2From(
  source: UploadPackSource,
  request: FetchRequest,
  options: UploadPackOptions,
): Promise<Answer> {
  const session = await openSession(source, request, options);
  if (session.wants.length === 0 && !request.waitForDone) return [];
  const { lines, sendsPack } = await session.negotiate((haves) =>
    negotiateV2({ ...request, wants: session.wants }, haves),
  );
  if (!sendsPack) return bandedLines(lines, request);
  const { shallow, uriLines, planning } = await session.planAnswer(options.signal);
  const sections = [...lines];
  if (shallow !== undefined) {
    const shallowLines = await encodeShallowLines(shallow, new WorkSlices({ signal: options.signal }));
    sections.push(encodePktLine("shallow-info\n"));
    // Not as arguments of one call: there may be more than a call takes.
    for (const line of shallowLines) sections.push(line);
    sections.push(DELIM_PKT);
  }
  if (session.wantedRefs.length > 0) {
    sections.push(encodePktLine("wanted-refs\n"));
    for (const { id, name } of session.wantedRefs) sections.push(encodePktLine(`${id} ${name}\n`));
    sections.push(DELIM_PKT);
  }
  sections.push(...uriLines);
  // What may turn out to need more than the source has is planned at once.
  const planned = source.isRecent ? await settled(planning) : planning;
  const limited = await planWithinLimit(source, noted(planned, request, options.turn), options.answerLimit);
  return respondV2(sections, request, limited, options);
}

async function* noted(
  planning: AnswerPlanning,
  { haves }: FetchRequest,
  turn: PlanningTurn | undefined,
): AnswerPlanning {
  let pack: PlannedPack | undefined;
  let heldBytes = 0;
  try {
    const plan = yield* planning;
    pack = { origin: originOf(plan), isClone: haves.length === 0 };
    heldBytes = planHeldBytes(plan);
    return plan;
  } finally {
    turn?.planned(heldBytes, pack);
  }
}

/** A limit that is exceeded after the request was read is reported in the protocol, where git shows it to its user. */
async function refusingWhatIsTooMuch(answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof LimitExceededError)) throw error;
    throw new RefusedRequestError(error.message, { cause: error });
  }
}

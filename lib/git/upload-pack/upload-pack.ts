/** The server side of a fetch, from request bytes to answer bytes: parse, negotiate, plan, respond. */
import type { ObjectId } from "../object-id.ts";
import { encodePktLine } from "../pktline.ts";
import type { RefList, UploadPackSource } from "../ports.ts";
import { findUnreachable } from "../walk/reachable.ts";
import { CommonHaves } from "./common-haves.ts";
import type { FetchRequest, RequestLimits } from "./fetch-request.ts";
import { listRefs } from "./ls-refs.ts";
import { type Negotiation, negotiateV0, negotiateV2 } from "./negotiate.ts";
import { planPack } from "./plan.ts";
import { readRequestV0 } from "./read-request-v0.ts";
import { readRequestV2 } from "./read-request-v2.ts";
import { type RespondOptions, respondV0, respondV2 } from "./respond.ts";

export interface UploadPackOptions extends RespondOptions {
  readonly protocol: 0 | 1 | 2;
  readonly limits: RequestLimits;
}

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
  if (options.protocol === 2) return uploadPackV2(source, body, options);
  const request = await readRequestV0(body, options.limits);
  if (request === undefined || request.hasEndedEarly) return [];
  const session = await openSession(source, request);
  if ("refusal" in session) return session.refusal;
  const { lines, sendsPack } = await session.negotiate((haves) => negotiateV0(request, haves));
  return sendsPack ? respondV0(lines, request, session.plan(), options) : lines;
}

async function uploadPackV2(
  source: UploadPackSource,
  body: AsyncIterable<Uint8Array>,
  options: UploadPackOptions,
): Promise<Answer> {
  const request = await readRequestV2(body, options.limits);
  if (request.command === "none") return [];
  if (request.command === "ls-refs") return listRefs(await source.readRefs(), request.lsRefs);
  const { fetch } = request;
  if (fetch.wants.length === 0 && !fetch.waitForDone) return [];
  const session = await openSession(source, fetch);
  if ("refusal" in session) return session.refusal;
  const { lines, sendsPack } = await session.negotiate((haves) => negotiateV2(fetch, haves));
  return sendsPack ? respondV2(lines, fetch, session.plan(), options) : lines;
}

/** What the phases of one fetch share. */
class FetchSession {
  readonly #source: UploadPackSource;
  readonly #refList: RefList;
  readonly #request: FetchRequest;
  #commonCommits: readonly number[] = [];

  constructor(source: UploadPackSource, refList: RefList, request: FetchRequest) {
    this.#source = source;
    this.#refList = refList;
    this.#request = request;
  }

  async negotiate(run: (haves: CommonHaves) => Promise<Negotiation>): Promise<Negotiation> {
    // A clone has no haves: then the objects need not be opened, which takes a round to the store.
    const objects = this.#request.haves.length === 0 ? NO_OBJECTS : await this.#source.openObjects();
    const haves = new CommonHaves(objects, this.#request.wants);
    const negotiation = await run(haves);
    this.#commonCommits = haves.commitNumbers;
    return negotiation;
  }

  plan() {
    return planPack(this.#source, this.#refList, this.#request, this.#commonCommits);
  }
}

const NO_OBJECTS = {
  objectCount: 0,
  find: () => -1,
  findId: () => -1,
  objectId: noObject,
  read: noObject,
  readType: noObject,
};

function noObject(): never {
  throw new RangeError("there are no objects here");
}

async function openSession(
  source: UploadPackSource,
  request: FetchRequest,
): Promise<FetchSession | { readonly refusal: Uint8Array[] }> {
  const refList = await source.readRefs();
  const refusedId = await findRefusedWant(source, refList, request.wants);
  if (refusedId !== undefined)
    return { refusal: [encodePktLine(`ERR upload-pack: not our ref ${refusedId}`)] };
  return new FetchSession(source, refList, request);
}

/** @returns A want that is neither a ref's value nor reachable from one. */
async function findRefusedWant(
  source: UploadPackSource,
  refList: RefList,
  wants: readonly ObjectId[],
): Promise<ObjectId | undefined> {
  const tips = new Set<ObjectId>(refList.refs.map(({ id }) => id));
  if ("commitId" in refList.head) tips.add(refList.head.commitId);
  const others = wants.filter((id) => !tips.has(id));
  if (others.length === 0) return undefined;
  const objects = await source.openObjects();
  const missing = others.find((id) => objects.findId(id) < 0);
  if (missing !== undefined || !source.mayHoldUnreachable) return missing;
  return findUnreachable(objects, refList, others);
}

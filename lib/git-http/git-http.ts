/**
 * Serves clones and fetches over git's smart HTTP protocol, whatever the transport.
 * Source: gitprotocol-http(5).
 */
import { randomUUID } from "node:crypto";
import { RepeatedRefusals } from "../auth/request-limits.ts";
import { errorFields, LimitExceededError, ProtocolError } from "../errors.ts";
import { concatBytes, encodePktLine, FLUSH_PKT } from "../git/pktline.ts";
import type { RefList } from "../git/ports.ts";
import type { AnswerLimit } from "../git/upload-pack/answer-limit.ts";
import {
  advertiseV0,
  advertiseV2,
  chooseProtocol,
  type ServerIdentity,
} from "../git/upload-pack/capabilities.ts";
import { DEFAULT_REQUEST_LIMITS, type RequestLimits } from "../git/upload-pack/fetch-request.ts";
import { type NewerSource, uploadPack } from "../git/upload-pack/upload-pack.ts";
import { WorkSlices, workOwner } from "../git/work-slices.ts";
import { errorResponse, notFoundResponse, textResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import { serverUrlOf } from "../http/server-url.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { type AllowedAccess, refusalResponse } from "./access-decision.ts";
import type { DecideAccess } from "./decide-access.ts";
import type { LargeRepositories, LargeRequest } from "./large-repositories.ts";
import { limitUnauthorized } from "./limit-unauthorized.ts";
import { MeasuredAnswer } from "./measured-answer.ts";
import { answerPush, type PushPolicy } from "./primary-redirect.ts";
import { type PushRelay, relayPush, relaysTo } from "./push-relay.ts";
import { decodedBody } from "./request-body.ts";
import { type RequestCaller, requestCallers } from "./request-caller.ts";
import { type AdmittedRequest, RequestLoad, type ServedRequest } from "./request-load.ts";
import { NO_CACHE_HEADERS, routeOf, type Service } from "./route.ts";
import type { ServedSource } from "./served-source.ts";
import { answerStatus, answerWait, freshnessLine, type ReadState, staleNotice } from "./status.ts";

export interface FindNeeds {
  /** Whether the answer will take the refs. */
  readonly refs: boolean;
  /** Where the primary has the repository, see `readServedUuid` in lib/repo/resolve-repository.ts. */
  readonly primaryPath?: string;
  /** The only one that the caller may have. */
  readonly uuid?: string;
}

/** Whose request asks for what is not here. */
export interface Asker {
  /** To whom the request counts. Who has asked too often for what is not at the primary either gets what is stored; none: no limit. */
  readonly callers: readonly string[];
  /** Waiting looks several times. */
  readonly isWait?: boolean;
  readonly signal: AbortSignal;
}

/** Syncs for the sake of a request, within its time. Without it, what is not here is not waited for. */
export interface OnDemand {
  /** @returns The repository with what the primary has had since the call; `undefined` if that was not to be had in time. */
  refresh(asked: RepositoryReference, needs: FindNeeds, asker: Asker): Promise<ServedSource | undefined>;
  /**
   * The repository with a push that the primary has announced and that is not synchronized yet; `undefined` if there is none, or
   * if it was not to be had in time.
   * @param found - What there is.
   */
  refreshAnnounced(found: ServedSource, signal: AbortSignal): Promise<ServedSource | undefined>;
}

interface UnservedRequest {
  readonly request: HttpRequest;
  readonly service: Service;
  readonly asked: RepositoryReference;
  readonly needs: FindNeeds;
  /** Where the primary has it by its name; `undefined` if that is not known. */
  readonly plainPath: string | undefined;
}

/** @returns The repository or a response; `undefined` if nothing but "not found" may be said. */
export type AnswerUnserved = (unserved: UnservedRequest) => Promise<ServedSource | HttpResponse | undefined>;

interface LfsRequest {
  readonly request: HttpRequest;
  /** `undefined` where nothing of it is served. */
  readonly uuid: RepositoryUuid | undefined;
  /** Where the primary has the repository, by its name if that is known. */
  readonly primaryPath: string | undefined;
}

export interface GitHttpOptions {
  /** Asked before anything else is done about a repository. */
  readonly access: DecideAccess;
  /** @returns `undefined` if it is not mirrored. */
  readonly find: (asked: RepositoryReference, needs: FindNeeds) => Promise<ServedSource | undefined>;
  readonly onDemand?: OnDemand;
  /** Without it, what is not served is not found. */
  readonly unserved?: AnswerUnserved;
  /** For the status of a repository; without it that says less. */
  readonly readState?: ReadState;
  /** Answers requests of git-lfs for callers who may read; without it there is no git-lfs here. */
  readonly lfs?: (asked: LfsRequest) => Promise<HttpResponse>;
  readonly push: PushPolicy | PushRelay;
  /** Where responses have a limit. */
  readonly large?: LargeRepositories;
  /** Called when a push has been relayed: the mirror is behind then. */
  readonly onPushed?: (asked: RepositoryReference) => void;
  readonly log: Logger;
  /** Name and version of this server, without spaces: `nearside/1.0.0`. */
  readonly agent: string;
  readonly limits?: RequestLimits;
  readonly now?: () => number;
  /** What clones and fetches may use of this process. */
  readonly load?: RequestLoad;
}

/** Of `WorkSlices`, to write a refusal. */
const REFUSAL_STEPS = 300;

export function gitHttp(options: GitHttpOptions): HttpHandler {
  const load = options.load ?? new RequestLoad();
  const callerOf = requestCallers();
  const identity = { agent: options.agent, sessionId: randomUUID() };
  const onceUnauthorized = limitUnauthorized(new RepeatedRefusals(options.now));
  return async (request) => {
    const startedMs = performance.now();
    const route = routeOf(request);
    if (route.kind === "refused") {
      const { method, remoteAddress: address } = request;
      const { status } = route.response;
      options.log.info("access:decided", { address, method, verdict: "no-repository", status });
      return route.response;
    }
    const { kind: service, repository } = route;
    const decision = await options.access({ request, service, repository });
    if (decision.kind === "refused") {
      // A limit refuses many at once: written in one go they would hold the event loop.
      await new WorkSlices().spend(REFUSAL_STEPS);
      return refusalResponse(onceUnauthorized(decision, { request, service, repository }));
    }
    const { primaryPath, uuid, plainPath = primaryPath } = decision;
    if (service === "receive-pack")
      return push(request, repository, plainPath, { ...options, load, callerOf });
    const refs =
      service === "upload-pack" ||
      service === "wait" ||
      (service === "info-refs" && chooseProtocol(request.headers["git-protocol"]) !== 2);
    const needs = {
      refs,
      ...(primaryPath !== undefined && { primaryPath }),
      ...(uuid !== undefined && { uuid }),
    };
    const caller = callerOf(request);
    const body =
      service === "lfs" ? load.lfsBody({ caller, signal: request.signal }, request.body) : request.body;
    const admittedRequest = { ...request, body };
    const source =
      (await options.find(repository, needs)) ??
      (await options.unserved?.({ request: admittedRequest, service, asked: repository, needs, plainPath }));
    if (source === undefined) return notFoundResponse(NO_CACHE_HEADERS);
    if ("status" in source) return source;
    if (service === "lfs") {
      const asked = source.uuid && { request: admittedRequest, uuid: source.uuid, primaryPath: plainPath };
      return (asked && (await options.lfs?.(asked))) || notFoundResponse(NO_CACHE_HEADERS);
    }
    const asked: LargeRequest = { request, repository, decision, source };
    const elsewhere = service === "info-refs" ? await options.large?.redirect(asked) : undefined;
    if (elsewhere !== undefined) return elsewhere;
    let served = source;
    const newer = async (cause: "listed" | "missing") => {
      const { onDemand } = options;
      const next = await (cause === "missing"
        ? onDemand?.refresh(repository, needs, {
            callers: caller.token === undefined ? [caller.name] : [caller.name, caller.token],
            isWait: service === "wait",
            signal: request.signal,
          })
        : onDemand?.refreshAnnounced(source, request.signal));
      served = next ?? served;
      return next;
    };
    const forCaller = (one: ServedSource) => one.forCaller?.(caller.name, serverUrlOf(request)) ?? one;
    if (service === "status") return answerStatus(source, options.readState);
    if (service === "wait") return answerWait(source, request, () => newer("missing"));
    const measured = new MeasuredAnswer(request, options.log, startedMs);
    const response = await workOwner.run(caller.name, () =>
      service === "info-refs"
        ? advertise(source, request, identity, newer)
        : load.serve(servedRequest(request, caller, options.log), (admitted) =>
            answerUploadPack(
              forCaller(source),
              request,
              {
                ...options,
                newer: async (cause) => {
                  const next = await admitted.outside(() => newer(cause));
                  return next && forCaller(next);
                },
                served: () => served,
                admitted,
                answerLimit: options.large?.limitOf(asked),
                measured,
              },
              decision,
            ),
          ),
    );
    return {
      ...response,
      headers: { ...response.headers, ...verifiedHeaders(served), ...staleHeaders(decision) },
    };
  };
}

function servedRequest(request: HttpRequest, caller: RequestCaller, log: Logger): ServedRequest {
  const { signal, cut, path } = request;
  return {
    ...{ caller, signal },
    cut:
      cut &&
      (() => {
        log.warn("git-http:idle-reader-cut", { path, address: request.remoteAddress });
        cut();
      }),
  };
}

interface PushAnswerOptions extends Pick<GitHttpOptions, "push" | "onPushed"> {
  readonly load: RequestLoad;
  readonly callerOf: (request: HttpRequest) => RequestCaller;
}

async function push(
  request: HttpRequest,
  asked: RepositoryReference,
  primaryPath: string | undefined,
  { push: policy, onPushed, load, callerOf }: PushAnswerOptions,
): Promise<HttpResponse> {
  if (policy.kind !== "relay" || primaryPath === undefined || !(await relaysTo(policy, primaryPath))) {
    return answerPush(policy, request, asked, primaryPath);
  }
  const response = await load.relay({ caller: callerOf(request), signal: request.signal }, () =>
    relayPush(policy, request, primaryPath),
  );
  const isPush = request.method === "POST" && response.status === 200;
  return isPush && onPushed
    ? { ...response, body: followed(response.body, () => onPushed(asked)) }
    : response;
}

/** Also where the caller leaves before the end: the push is done by then, or will be. */
async function* followed(
  chunks: AsyncIterable<Uint8Array>,
  onEnd: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } finally {
    onEnd();
  }
}

function verifiedHeaders({ verifiedAt }: ServedSource): Record<string, string> {
  return verifiedAt === undefined ? {} : { "x-nearside-verified": verifiedAt.toISOString() };
}

function staleHeaders({ staleSeconds }: AllowedAccess): Record<string, string> {
  return staleSeconds === undefined ? {} : { "x-nearside-access": `stale; age=${staleSeconds}` };
}

async function advertise(
  source: ServedSource,
  request: HttpRequest,
  identity: ServerIdentity,
  newer: NewerSource,
): Promise<HttpResponse> {
  const protocol = chooseProtocol(request.headers["git-protocol"]);
  const lines =
    protocol === 2
      ? advertiseV2(identity, source)
      : advertisedRefs(await ((await newer("listed")) ?? source).readRefs(), identity, protocol);
  return ok("application/x-git-upload-pack-advertisement", batched(lines));
}

function* advertisedRefs(
  refList: RefList,
  identity: ServerIdentity,
  protocol: 0 | 1,
): Generator<Uint8Array, void, undefined> {
  yield encodePktLine("# service=git-upload-pack\n");
  yield FLUSH_PKT;
  yield* advertiseV0(refList, identity, protocol);
}

interface UploadPackAnswerOptions extends GitHttpOptions {
  readonly admitted: AdmittedRequest;
  readonly measured: MeasuredAnswer;
  readonly newer: NewerSource;
  /** Out of which the request is answered by now. */
  readonly served: () => ServedSource;
  readonly answerLimit: AnswerLimit | undefined;
}

async function answerUploadPack(
  source: ServedSource,
  request: HttpRequest,
  {
    log,
    newer,
    served,
    admitted,
    measured,
    answerLimit,
    limits = DEFAULT_REQUEST_LIMITS,
  }: UploadPackAnswerOptions,
  decision: AllowedAccess,
): Promise<HttpResponse> {
  const body = decodedBody(request);
  if (body === undefined) {
    return textResponse(415, "unsupported content encoding, use gzip or none", NO_CACHE_HEADERS);
  }
  const protocol = chooseProtocol(request.headers["git-protocol"]);
  const { path } = request;
  const onFailure = (error: unknown): void => {
    measured.failed();
    log.error("git-http:answer-failed", { path, ...errorFields(error) }, { AnswerFailures: 1 });
  };
  try {
    const notice = staleNotice(decision);
    const answer = await uploadPack(source, admitted.body(body), {
      protocol,
      limits: { ...limits, keep: admitted.keep },
      turn: {
        bodyRead: () => admitted.bodyRead(),
        startPlanning: (planBytes) => admitted.startPlanning(planBytes),
        planned(heldBytes, pack) {
          admitted.planned(heldBytes);
          measured.planned(pack);
        },
      },
      onFailure,
      answerLimit,
      signal: request.signal,
      newer,
      firstProgress: () => freshnessLine(served(), decision),
      ...(notice !== undefined && { notice }),
    });
    return ok("application/x-git-upload-pack-result", measured.sent(batched(answer)));
  } catch (error) {
    if (!(error instanceof ProtocolError || error instanceof LimitExceededError)) throw error;
    log.info("git-http:request-refused", { path, protocol, ...errorFields(error) });
    return errorResponse(error);
  }
}

function ok(contentType: string, body: AsyncIterable<Uint8Array>): HttpResponse {
  return { status: 200, headers: { "content-type": contentType, ...NO_CACHE_HEADERS }, body };
}

const BATCH_BYTES = 64 * 1024;
/** What is copied in a step of `WorkSlices`. */
const COPIED_BYTES_A_STEP = 500;

/** Joins short lines that are at hand, so that a list of refs is not sent in a write for each. Pauses for others. */
async function* batched(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  slices = new WorkSlices(),
): AsyncGenerator<Uint8Array, void, undefined> {
  if (Symbol.asyncIterator in chunks) {
    for await (const chunk of chunks) {
      // Many readers at a time pull what is at hand: together they would hold the event loop.
      await slices.spend(1 + chunk.length / COPIED_BYTES_A_STEP);
      yield chunk;
    }
    return;
  }
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  for (const chunk of chunks) {
    const pause = slices.spend(1 + chunk.length / COPIED_BYTES_A_STEP);
    if (pause !== undefined) await pause;
    batch.push(chunk);
    batchBytes += chunk.length;
    if (batchBytes < BATCH_BYTES) continue;
    yield concatBytes(batch);
    batch = [];
    batchBytes = 0;
  }
  if (batchBytes > 0) yield concatBytes(batch);
}

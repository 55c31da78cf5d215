/**
 * Serves clones and fetches over git's smart HTTP protocol, whatever the transport.
 * Source: gitprotocol-http(5).
 */
import { randomUUID } from "node:crypto";
import { chooseProtocol, type ServerIdentity } from "../git/upload-pack/capabilities.ts";
import type { RequestLimits } from "../git/upload-pack/fetch-request.ts";
import type { Newer, NewerCause } from "../git/upload-pack/upload-pack.ts";
import { workOwner } from "../git/work-slices.ts";
import { notFoundResponse } from "../http/error-response.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../http/message.ts";
import { serverUrlOf } from "../http/server-url.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { type RequestCaller, requestCallers } from "../request-caller.ts";
import { type AllowedAccess, refusalResponse } from "./access-decision.ts";
import type { AnswerClonePlan } from "./clone-plan.ts";
import type { DecideAccess } from "./decide-access.ts";
import type { LargeRepositories, LargeRequest } from "./large-repositories.ts";
import { MeasuredAnswer } from "./measured-answer.ts";
import { answerPush, type PushPolicy } from "./primary-redirect.ts";
import { type PushRelay, relayPush, relaysTo } from "./push-relay.ts";
import { endRepeatedRefusals } from "./repeated-refusals.ts";
import { RequestLoad, type ServedRequest } from "./request-load.ts";
import { NO_CACHE_HEADERS, routeOf, type Service } from "./route.ts";
import {
  type FindNeeds,
  findServed,
  type OnDemand,
  type ServedFinders,
  type ServedSource,
} from "./served-source.ts";
import { answerStatus, answerWait, type ReadState } from "./status.ts";
import { advertise, answerUploadPack } from "./upload-pack-answer.ts";

interface LfsRequest {
  readonly request: HttpRequest;
  /** `undefined` where nothing of it is served. */
  readonly uuid: RepositoryUuid | undefined;
  /** Where the primary has the repository, by its name if that is known. */
  readonly primaryPath: string | undefined;
}

export interface GitHttpOptions extends ServedFinders {
  /** Asked before anything else is done about a repository. */
  readonly access: DecideAccess;
  readonly onDemand?: OnDemand;
  /** For the status of a repository; without it that says less. */
  readonly readState?: ReadState;
  /** Without it there are no plans. */
  readonly clonePlan?: AnswerClonePlan;
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

interface GitHttpContext extends GitHttpOptions {
  readonly load: RequestLoad;
  readonly identity: ServerIdentity;
  readonly callerOf: (request: HttpRequest) => RequestCaller;
}

export function gitHttp(options: GitHttpOptions): HttpHandler {
  const identity = { agent: options.agent, sessionId: randomUUID() };
  const context = { load: new RequestLoad(), ...options, identity, callerOf: requestCallers() };
  const answeredRefusal = endRepeatedRefusals(options.now);
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
    if (decision.kind === "refused")
      return refusalResponse(answeredRefusal(decision, { request, service, repository }));
    const { primaryPath, uuid, plainPath = primaryPath } = decision;
    if (service === "receive-pack") return push(request, repository, plainPath, context);
    const needs = { refs: needsRefs(service, request), primaryPath, uuid };
    const caller = context.callerOf(request);
    const body =
      service === "lfs"
        ? context.load.lfsBody({ caller, signal: request.signal }, request.body)
        : request.body;
    const admitted = { ...request, body };
    const asked = { request: admitted, service, asked: repository, needs, plainPath };
    const source = await findServed(options, asked);
    if ("status" in source) return source;
    if (service === "status") return answerStatus(source, options.readState);
    if (service === "clone-plan")
      return (await options.clonePlan?.(source, request, decision)) ?? notFoundResponse(NO_CACHE_HEADERS);
    if (service === "lfs") {
      const ofFiles = source.uuid && { request: admitted, uuid: source.uuid, primaryPath: plainPath };
      return (ofFiles && (await options.lfs?.(ofFiles))) || notFoundResponse(NO_CACHE_HEADERS);
    }
    return answerGit({ request, service, repository, decision, needs, source, startedMs }, context);
  };
}

function needsRefs(service: Service, { headers }: HttpRequest): boolean {
  if (service === "info-refs") return chooseProtocol(headers["git-protocol"]) !== 2;
  return service === "upload-pack" || service === "wait";
}

interface FoundRequest extends LargeRequest {
  readonly service: "info-refs" | "upload-pack" | "wait";
  readonly needs: FindNeeds;
  readonly startedMs: number;
}

async function answerGit(asked: FoundRequest, context: GitHttpContext): Promise<HttpResponse> {
  const { request, service, repository, decision, needs, source } = asked;
  const { load, onDemand, large } = context;
  const elsewhere = service === "info-refs" ? await large?.redirect(asked) : undefined;
  if (elsewhere !== undefined) return elsewhere;
  let served = source;
  const caller = context.callerOf(request);
  const newer = async (
    cause: NewerCause,
    lookedAt?: ServedSource,
  ): Promise<Newer<ServedSource> | undefined> => {
    const callers = caller.token === undefined ? [caller.name] : [caller.name, caller.token];
    const { signal } = request;
    const pushed = cause === "listed" ? await onDemand?.refreshPushed(source, signal) : undefined;
    const next =
      cause === "listed"
        ? pushed && { source: pushed }
        : await onDemand?.refresh(repository, needs, { ...cause, callers, lookedAt, signal });
    served = next?.source ?? served;
    return next;
  };
  if (service === "wait")
    return load.waitForRefs(caller, () =>
      answerWait(source, request, (missing, lookedAt) => newer({ missing }, lookedAt)),
    );
  const forCaller = (one: ServedSource) => one.forCaller?.(caller.name, serverUrlOf(request)) ?? one;
  const answerLimit = large?.limitOf(asked);
  const measured = new MeasuredAnswer(request, context.log, asked.startedMs);
  const response = await workOwner.run(caller.name, () =>
    service === "info-refs"
      ? advertise(source, request, context.identity, newer)
      : load.serve(servedRequest(request, caller, context.log), (admitted) => {
          const newerForCaller = async (cause: NewerCause): Promise<Newer<ServedSource> | undefined> => {
            const next = await admitted.outside(() => newer(cause));
            return next && { ...next, source: forCaller(next.source) };
          };
          const parts = { newer: newerForCaller, served: () => served, admitted, answerLimit, measured };
          return answerUploadPack(forCaller(source), request, { ...context, ...parts }, decision);
        }),
  );
  return {
    ...response,
    headers: { ...response.headers, ...verifiedHeaders(served), ...staleHeaders(decision) },
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

async function push(
  request: HttpRequest,
  asked: RepositoryReference,
  primaryPath: string | undefined,
  { push: policy, onPushed, load, callerOf }: GitHttpContext,
): Promise<HttpResponse> {
  if (policy.kind !== "relay" || primaryPath === undefined || !(await relaysTo(policy, primaryPath))) {
    return answerPush(policy, request, asked, primaryPath);
  }
  const caller = { caller: callerOf(request), signal: request.signal };
  const response = await load.relay(caller, request.body, (body) =>
    relayPush(policy, { ...request, body }, primaryPath),
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

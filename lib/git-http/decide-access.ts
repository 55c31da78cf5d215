/**
 * Decides whether a caller may read: by the primary's answer to the caller's own credential or, without a credential, if the
 * repository is public. Logs one line for each request.
 */
import type { Authorizer } from "../auth/authorizer.ts";
import type { RequestRate } from "../auth/request-limits.ts";
import type { Verdict } from "../auth/verdict.ts";
import { addressBlock } from "../http/address-block.ts";
import type { HttpRequest } from "../http/message.ts";
import { PacedStarts } from "../http/paced-starts.ts";
import type { Logger } from "../log.ts";
import type { Measurement } from "../metrics.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { namedPath, type ResolvedRepository } from "../repo/resolve-repository.ts";
import type { AccessDecision } from "./access-decision.ts";
import { NEWCOMERS_RETRY_SECONDS, Newcomers } from "./newcomers.ts";
import { NOWHERE } from "./probe-primary.ts";
import { RepeatedLimits } from "./repeated-limits.ts";
import type { Service } from "./route.ts";

export interface DecideAccessOptions {
  readonly authorizer: Authorizer;
  /** Finds a mirrored repository; `undefined` if there is none under this name. */
  readonly lookUp: (asked: RepositoryReference) => Promise<ResolvedRepository | undefined>;
  /** Whether public repositories need no credential. */
  readonly allowsAnonymous: boolean;
  /** Whether pushes go through the mirror. Otherwise the primary alone decides about them. */
  readonly relaysPushes: boolean;
  /** Of callers without a credential, by address block. */
  readonly anonymousRate: RequestRate;
  /** The same for all addresses together. */
  readonly anonymousTotalRate: RequestRate;
  readonly log: Logger;
}

export interface AccessQuestion {
  readonly request: HttpRequest;
  readonly service: Service;
  readonly repository: RepositoryReference;
}

/** Thousands of requests may wait for one answer of the primary, or be refused by one limit. */
const MAX_DECIDED_A_TURN = 30;

interface DecideContext extends DecideAccessOptions {
  readonly newcomers: Newcomers;
  readonly repeatedLimits: RepeatedLimits;
}

export type DecideAccess = (question: AccessQuestion) => Promise<AccessDecision>;

/** Other headers cannot be sent to the primary, so it could not accept them. */
const AUTHORIZATION_PATTERN = /^[\x20-\x7e]{1,8192}$/;

const LOG_IN = "log in with your Bitbucket credential";
const REJECTED = "Bitbucket rejects this credential: it may be wrong, expired or revoked";

/** The name may mean another repository at the primary by now, whose readers must not get this one. */
const OTHER_REFS_AT_PRIMARY: AccessDecision = {
  kind: "refused",
  status: 503,
  text: "Bitbucket shows other refs under this name than the mirror has; try again in 5 s",
  retryAfterSeconds: 5,
};
const TOO_MANY_NEWCOMERS: AccessDecision = {
  kind: "refused",
  status: 429,
  text: `too many requests wait for Bitbucket's answer; try again in ${NEWCOMERS_RETRY_SECONDS} s`,
  retryAfterSeconds: NEWCOMERS_RETRY_SECONDS,
};
const NOT_FOUND: AccessDecision = { kind: "refused", status: 404, text: "" };

export function decideAccess(given: DecideAccessOptions): DecideAccess {
  const options = { ...given, newcomers: new Newcomers(), repeatedLimits: new RepeatedLimits() };
  const decided = new PacedStarts(MAX_DECIDED_A_TURN);
  return async (question) => {
    const { request, service, repository } = question;
    const { decision, verdict, note } = await decideWithinLimits(question, options);
    const { authorization } = request.headers;
    await decided.turn(() => ({
      address: addressBlock(request.remoteAddress),
      credential: authorization ?? "",
    }));
    const fields = {
      address: request.remoteAddress,
      method: request.method,
      service,
      repo: namedPath(repository),
      caller: options.authorizer.loggedName(authorization),
      verdict: note ?? verdict?.kind,
      ...(decision.kind === "refused" && { status: decision.status }),
      ...(verdict !== undefined && {
        source: verdict.source,
        ageSeconds: Math.floor(verdict.ageMs / 1000),
        ...(verdict.kind === "undecided" && { cause: verdict.cause }),
        ...(verdict.kind === "allowed" && { isStale: verdict.isStale, callerName: verdict.callerName }),
      }),
    };
    options.log.info(
      "access:decided",
      fields,
      measurementOf({ decision, ...(verdict && { verdict }) }, authorization),
    );
    return decision;
  };
}

/** The challenge that begins each clone measures nothing. */
function measurementOf({ decision, verdict }: Decided, authorization: string | undefined): Measurement {
  const status = decision.kind === "refused" ? decision.status : 200;
  return {
    ...(verdict !== undefined && { [verdict.source === "primary" ? "VerdictsAsked" : "VerdictsCached"]: 1 }),
    ...((status === 429 || status === 503) && { CallersDeferred: 1 }),
    ...((status === 401 || status === 404) && authorization !== undefined && { CallersRefused: 1 }),
  };
}

interface Decided {
  readonly decision: AccessDecision;
  readonly verdict?: Verdict;
  /** Logged instead of a verdict. */
  readonly note?: "challenged" | "limited" | "to-primary";
}

async function decideWithinLimits(question: AccessQuestion, options: DecideContext): Promise<Decided> {
  const { headers, remoteAddress } = question.request;
  const { authorizer, repeatedLimits } = options;
  const caller = `${authorizer.loggedName(headers["authorization"])} ${addressBlock(remoteAddress)}`;
  const repeated = repeatedLimits.answerFor(caller);
  if (repeated !== undefined) return { decision: repeated, note: "limited" };
  const decided = await decide(question, options);
  repeatedLimits.note(caller, decided.decision);
  return decided;
}

async function decide(question: AccessQuestion, options: DecideContext): Promise<Decided> {
  const { request, service, repository } = question;
  const { authorization } = request.headers;
  // A project key must be resolved first, and only for readers.
  const isNamedPush = service === "receive-pack" && repository.kind !== "project";
  if (isNamedPush && !options.relaysPushes) {
    return { decision: { kind: "allowed", primaryPath: namedPath(repository) }, note: "to-primary" };
  }
  // A push takes a credential.
  if (authorization === undefined && service === "receive-pack") return challenged(LOG_IN);
  if (authorization === undefined) return decideAnonymous(question, options);
  if (!AUTHORIZATION_PATTERN.test(authorization)) return challenged(REJECTED);
  // Where the name leads at the primary, whatever it means here. The question counts among the caller's, and keeps wrong credentials out.
  if (isNamedPush) return check({ primaryPath: namedPath(repository) }, request, options);
  // The same steps whether the name is known or not: response times must not reveal what is mirrored.
  const known = await options.lookUp(repository);
  if (known !== undefined) return checkKnown(known, request, options);
  // An unknown project key may be the name of a foreign workspace.
  const primaryPath = repository.kind === "project" ? NOWHERE : namedPath(repository);
  const checked = await check({ primaryPath }, request, options);
  // A serving process may still know the name from a moment ago, and this yes is not for that repository.
  return checked.decision.kind === "allowed" ? { ...checked, decision: NOT_FOUND } : checked;
}

/** For a former name the primary must also confirm where it redirects to. */
async function checkKnown(
  known: ResolvedRepository,
  request: HttpRequest,
  options: DecideContext,
): Promise<Decided> {
  if (known.isReserved) return checkReserved(known, request, options);
  if (!known.isFormer || known.uuidPath === undefined) return check(known, request, options);
  const led = await check({ primaryPath: known.primaryPath }, request, options);
  if (led.decision.kind !== "allowed") return led;
  const { primaryPath } = led.decision;
  if (primaryPath === undefined) return { ...led, decision: NOT_FOUND };
  // It may be in another workspace by now.
  const uuidPath = `${primaryPath.split("/")[0]}/{${known.uuid}}`;
  const checked = await check({ ...known, uuidPath }, request, options);
  if (checked.decision.kind !== "allowed") return checked;
  const { plainPath: _former, ...decision } = checked.decision;
  return { ...checked, decision: { ...decision, primaryPath } };
}

/** There are no refs to compare yet, so this yes is for the name only; after the first sync the primary is asked again. */
async function checkReserved(
  { primaryPath, uuid }: ResolvedRepository,
  request: HttpRequest,
  options: DecideContext,
): Promise<Decided> {
  const checked = await check({ primaryPath }, request, options);
  const { decision } = checked;
  return decision.kind === "allowed" ? { ...checked, decision: { ...decision, uuid } } : checked;
}

/** As in `ResolvedRepository`; without `uuid`, a path that means nothing here. */
interface CheckedPath {
  readonly primaryPath: string;
  readonly uuidPath?: string;
  readonly uuid?: string;
}

async function check(
  { primaryPath, uuidPath = primaryPath, uuid }: CheckedPath,
  { headers: { authorization }, remoteAddress }: HttpRequest,
  { authorizer, newcomers }: DecideContext,
): Promise<Decided> {
  const bound = uuid !== undefined && { uuid };
  const source = addressBlock(remoteAddress);
  const question = { authorization, repositoryPath: uuidPath, ...bound, source };
  const verdict = await newcomers.run(
    source,
    () => authorizer.isKnown(question),
    () => authorizer.check(question),
  );
  if (verdict === undefined) return { decision: TOO_MANY_NEWCOMERS, note: "limited" };
  const decision = decisionOf(verdict);
  if (decision.kind === "refused") return { decision, verdict };
  const isByUuid = uuidPath !== primaryPath && decision.primaryPath === uuidPath;
  const plain = isByUuid && { plainPath: primaryPath };
  return { decision: { ...decision, ...bound, ...plain }, verdict };
}

/**
 * git sends each first request without a credential. So the primary is asked only if the repository was public at the last
 * sync: its rate limit for anonymous requests is low, and shared by all callers.
 */
async function decideAnonymous(
  { request, repository }: AccessQuestion,
  options: DecideContext,
): Promise<Decided> {
  const { allowsAnonymous, lookUp } = options;
  if (!allowsAnonymous) return challenged(LOG_IN);
  const known = await lookUp(repository);
  if (known?.isPublic !== true) return challenged(LOG_IN);
  const limited = limitAnonymous(request, options);
  if (limited !== undefined) return limited;
  const checked = await checkKnown(known, request, options);
  const { verdict } = checked;
  return verdict?.kind === "refused" && verdict.status !== 503 ? { ...challenged(LOG_IN), verdict } : checked;
}

function limitAnonymous(
  { remoteAddress }: HttpRequest,
  { anonymousRate, anonymousTotalRate }: DecideContext,
): Decided | undefined {
  const ofAddress = anonymousRate.take(addressBlock(remoteAddress));
  const retryAfterSeconds = ofAddress > 0 ? ofAddress : anonymousTotalRate.take("all");
  if (retryAfterSeconds === 0) return undefined;
  const whose = ofAddress > 0 ? " from your address" : "";
  const text = `too many requests without a credential${whose}, try again in ${retryAfterSeconds} s`;
  return { decision: { kind: "refused", status: 429, text, retryAfterSeconds }, note: "limited" };
}

function challenged(text: string): Decided {
  return { decision: { kind: "refused", status: 401, text }, note: "challenged" };
}

function decisionOf(verdict: Verdict): AccessDecision {
  switch (verdict.kind) {
    case "allowed": {
      const { finalPath, isStale, ageMs } = verdict;
      return {
        kind: "allowed",
        ...(finalPath !== undefined && { primaryPath: finalPath }),
        ...(isStale && { staleSeconds: Math.floor(ageMs / 1000) }),
      };
    }
    case "refused": {
      // 410 is the answer to a kind of credential that was abolished; 403 and 404 both mean that the caller may not read.
      if (verdict.status === 503) return OTHER_REFS_AT_PRIMARY;
      if (verdict.status !== 401 && verdict.status !== 410) return { kind: "refused", status: 404, text: "" };
      const text = verdict.hint === undefined ? REJECTED : `Bitbucket says: ${verdict.hint}`;
      return { kind: "refused", status: 401, text };
    }
    case "undecided":
      return undecided(verdict);
  }
}

/** Never 401, which makes git erase a credential that may be valid. */
function undecided({ cause, retryAfterSeconds }: Extract<Verdict, { kind: "undecided" }>): AccessDecision {
  const text = `${WHY_UNDECIDED[cause]}; try again in ${retryAfterSeconds} s`;
  const isBusy = cause === "unreachable" || cause === "unreadable";
  return { kind: "refused", status: isBusy ? 503 : 429, text, retryAfterSeconds };
}

const WHY_UNDECIDED = {
  "rate-limited":
    "Bitbucket limits the rate of your credential, so the mirror cannot ask whether you may read",
  unreachable: "Bitbucket cannot be reached, so the mirror cannot ask whether you may read",
  unreadable: "the mirror cannot read its copy of this repository, so it cannot check that you may read it",
  busy: "the mirror has too many questions for Bitbucket, so it cannot ask yet whether you may read",
  guessing: "Bitbucket rejected several credentials from your address",
  "refused-often": "Bitbucket refused or did not answer several requests with this credential",
} as const;

/**
 * Decides what a caller may have: what the primary says of the caller's own credential, and for callers without one,
 * whether everyone may read there. One line in the log for each request.
 */
import type { Authorizer } from "../auth/authorizer.ts";
import type { RequestRate } from "../auth/request-rate.ts";
import type { Verdict } from "../auth/verdict.ts";
import type { HttpRequest } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { namedPath, type ResolvedRepository } from "../repo/resolve-repository.ts";
import type { AccessDecision } from "./access-decision.ts";
import { addressBlock } from "./address-block.ts";
import type { Service } from "./route.ts";

export interface DecideAccessOptions {
  readonly authorizer: Authorizer;
  /** What is known of a name without the primary; `undefined` if nothing is mirrored under it. */
  readonly lookUp: (asked: RepositoryReference) => Promise<ResolvedRepository | undefined>;
  /** Whether callers without a credential get what everyone may read at the primary. */
  readonly allowsAnonymous: boolean;
  /** Which repositories callers without a credential are sent on to the primary for, while they are not mirrored yet. */
  readonly sendsOn: SendsOn;
  /** Of callers without a credential, for each address. */
  readonly anonymousRate: RequestRate;
  /** Of all of them together. */
  readonly anonymousTotalRate: RequestRate;
  readonly log: Logger;
}

export type SendsOn = "all" | "public" | "off";

interface AccessQuestion {
  readonly request: HttpRequest;
  readonly service: Service;
  readonly repository: RepositoryReference;
}

export type DecideAccess = (question: AccessQuestion) => Promise<AccessDecision>;

/** Everything that a credential can be made of. Others cannot be sent on, so the primary could not take them either. */
const AUTHORIZATION_PATTERN = /^[\x20-\x7e]{1,8192}$/;

const LOG_IN = "log in with your Bitbucket credential";
const NOT_TAKEN = "Bitbucket does not take this credential: it may be wrong, expired or removed";

/**
 * What the primary is asked about for a project's key that is not known here: no workspace has this uuid. The key may be the
 * name of somebody's workspace, which is none of ours.
 */
const NOWHERE = "{00000000-0000-0000-0000-000000000000}/{00000000-0000-0000-0000-000000000000}";
/** Of a name only: it may mean another repository there than here, and then its readers must not get this one. */
const NOT_IN_STEP: AccessDecision = {
  kind: "refused",
  status: 503,
  text: "the mirror is not in step with what Bitbucket has under this name; try again in 5 s",
  retryAfterSeconds: 5,
};
const NOT_FOUND: AccessDecision = { kind: "refused", status: 404, text: "" };

export function decideAccess(options: DecideAccessOptions): DecideAccess {
  return async (question) => {
    const { request, service, repository } = question;
    const { decision, verdict, note } = await decide(question, options);
    const { authorization } = request.headers;
    options.log.info("access:decided", {
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
    });
    return decision;
  };
}

interface Decided {
  readonly decision: AccessDecision;
  readonly verdict?: Verdict;
  /** Says in the log what no verdict says. */
  readonly note?: "challenged" | "limited" | "to-primary" | "sent-on";
}

type Checked = Decided & { readonly verdict: Verdict };

async function decide(question: AccessQuestion, options: DecideAccessOptions): Promise<Decided> {
  const { request, service, repository } = question;
  const { authorization } = request.headers;
  // Pushes go to the primary, which decides itself. A project's key has to be looked up for that, and only readers may.
  if (service === "receive-pack" && repository.kind !== "project") {
    return { decision: { kind: "allowed", primaryPath: namedPath(repository) }, note: "to-primary" };
  }
  if (authorization === undefined) return decideAnonymous(question, options);
  if (!AUTHORIZATION_PATTERN.test(authorization)) return challenged(NOT_TAKEN);
  // The same steps whether the name is known or not: what is mirrored must not show in the time either.
  const known = await options.lookUp(repository);
  if (known !== undefined) return checkKnown(known, request, options);
  const primaryPath = repository.kind === "project" ? NOWHERE : namedPath(repository);
  const checked = await check({ primaryPath }, request, options);
  // Whoever serves may still take the name for what it meant a moment ago, and it is not known who may read that.
  return checked.decision.kind === "allowed" ? { ...checked, decision: NOT_FOUND } : checked;
}

/** Of a former name the primary has to say where it leads, besides who may read the repository. */
async function checkKnown(
  known: ResolvedRepository,
  request: HttpRequest,
  options: DecideAccessOptions,
): Promise<Checked> {
  if (known.isInitializing) return checkInitializing(known, request, options);
  if (!known.isFormer || known.uuidPath === undefined) return check(known, request, options);
  const led = await check({ primaryPath: known.primaryPath }, request, options);
  if (led.decision.kind !== "allowed") return led;
  const { primaryPath } = led.decision;
  if (primaryPath === undefined) return { ...led, decision: NOT_FOUND };
  // It may lead to another workspace.
  const uuidPath = `${primaryPath.split("/")[0]}/{${known.uuid}}`;
  const checked = await check({ ...known, uuidPath }, request, options);
  if (checked.decision.kind !== "allowed") return checked;
  const { plainPath: _former, ...decision } = checked.decision;
  return { ...checked, decision: { ...decision, primaryPath } };
}

/** There are no refs to compare with yet. Once there are, the primary is asked anew: this yes is only for the name. */
async function checkInitializing(
  { primaryPath, uuid }: ResolvedRepository,
  request: HttpRequest,
  options: DecideAccessOptions,
): Promise<Checked> {
  const checked = await check({ primaryPath }, request, options);
  const { decision } = checked;
  return decision.kind === "allowed" ? { ...checked, decision: { ...decision, uuid } } : checked;
}

/** As in `ResolvedRepository`, or a path that means nothing here. */
interface CheckedPath {
  readonly primaryPath: string;
  readonly uuidPath?: string;
  readonly uuid?: string;
}

async function check(
  { primaryPath, uuidPath = primaryPath, uuid }: CheckedPath,
  { headers: { authorization }, remoteAddress }: HttpRequest,
  { authorizer }: DecideAccessOptions,
): Promise<Checked> {
  const bound = uuid !== undefined && { uuid };
  const source = addressBlock(remoteAddress);
  const verdict = await authorizer.check({ authorization, repositoryPath: uuidPath, ...bound, source });
  const decision = decisionOf(verdict);
  if (decision.kind === "refused") return { decision, verdict };
  const isByUuid = uuidPath !== primaryPath && decision.primaryPath === uuidPath;
  const plain = isByUuid && { plainPath: primaryPath };
  return { decision: { ...decision, ...bound, ...plain }, verdict };
}

/**
 * Before it shows a credential, git always asks without one. So the primary is asked only where the last sync has seen
 * that everyone may read; the limits that it has for callers without a credential are low, and shared by all.
 */
async function decideAnonymous(
  { request, service, repository }: AccessQuestion,
  options: DecideAccessOptions,
): Promise<Decided> {
  const { allowsAnonymous, sendsOn, lookUp } = options;
  if (!allowsAnonymous && sendsOn === "off") return challenged(LOG_IN);
  const known = await lookUp(repository);
  if (known?.isInitializing) {
    // git logs in where it is sent on to only if it has not shown a credential here, and only with its first request.
    const mayGo = service === "info-refs" && (sendsOn === "all" || (sendsOn === "public" && known.isPublic));
    if (!mayGo) return challenged(LOG_IN);
    const sentOn: Decided = {
      decision: { kind: "sent-on", primaryPath: known.primaryPath },
      note: "sent-on",
    };
    return limitAnonymous(request, options) ?? sentOn;
  }
  if (!allowsAnonymous || known?.isPublic !== true) return challenged(LOG_IN);
  const limited = limitAnonymous(request, options);
  if (limited !== undefined) return limited;
  const checked = await checkKnown(known, request, options);
  const { verdict } = checked;
  return verdict.kind === "refused" && verdict.status !== 503 ? { ...challenged(LOG_IN), verdict } : checked;
}

function limitAnonymous(
  { remoteAddress }: HttpRequest,
  { anonymousRate, anonymousTotalRate }: DecideAccessOptions,
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
      // 410 is what the primary says to kinds of credentials that it no longer has. Of 403 and 404 it says both for
      // repositories that a caller may not see.
      if (verdict.status === 503) return NOT_IN_STEP;
      if (verdict.status !== 401 && verdict.status !== 410) return { kind: "refused", status: 404, text: "" };
      const text = verdict.hint === undefined ? NOT_TAKEN : `Bitbucket says: ${verdict.hint}`;
      return { kind: "refused", status: 401, text };
    }
    case "undecided":
      return undecided(verdict);
  }
}

/** Not 401, whatever the cause: for that git would have its helper erase a credential that may be good. */
function undecided({ cause, retryAfterSeconds }: Extract<Verdict, { kind: "undecided" }>): AccessDecision {
  const text = `${WHY_UNDECIDED[cause]}; try again in ${retryAfterSeconds} s`;
  const isLimited = cause === "rate-limited" || cause === "guessing";
  return { kind: "refused", status: isLimited ? 429 : 503, text, retryAfterSeconds };
}

const WHY_UNDECIDED = {
  "rate-limited":
    "Bitbucket limits the rate of your credential, so the mirror cannot ask whether you may read",
  unreachable: "Bitbucket cannot be reached, so the mirror cannot ask whether you may read",
  unreadable:
    "the mirror cannot read its copy of this repository, so it cannot tell whether you may have that",
  guessing: "Bitbucket has not taken several credentials that came from your address",
  doubted:
    "Bitbucket refuses this credential, which it took a short time ago, so the mirror will ask it again",
} as const;

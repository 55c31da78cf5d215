/** What the answers share: who asks, and what that caller may see. */
import type { RequestRate } from "../auth/request-limits.ts";
import type { HttpRequest } from "../http/message.ts";
import { serverUrlOf } from "../http/server-url.ts";
import type { Administrators } from "./administrators.ts";
import type { ApiRepository, ApiRepositoryList } from "./api-schemas.ts";
import { type Caller, callerOf, callerOfHeader } from "./caller.ts";
import type { EventStreams } from "./event-streams.ts";
import type { Viewer } from "./page-layout.ts";
import type { InPlace } from "./page-places.ts";
import type { Administration, NamedRepository, ReadDecision } from "./ports.ts";
import type { RepositoryViews } from "./repository-views.ts";
import { readSessionCookie, type Sessions } from "./sessions.ts";
import {
  inTurns,
  type VisiblePage,
  type VisibleRepositories,
  type VisibleRepositoriesOptions,
  type VisibleRepository,
} from "./visible-repositories.ts";

export interface PagesOptions extends Omit<VisibleRepositoriesOptions, "now"> {
  /** Bitbucket's address for git. */
  readonly gitUrl: string;
  /** Of this server, for requests that do not say where they were sent. */
  readonly serverUrl: () => string;
  readonly version: string;
  /** Sessions are sealed with keys made from it; the same in all processes that serve pages. */
  readonly sessionSecret: string;
  /** Before a repository's name in links to its page; by default, nothing. */
  readonly pagePrefix?: string;
  readonly now?: () => number;
  /** How often an event stream looks for changes; 0: there are none, and pages poll. */
  readonly eventIntervalMs?: number;
  /** Absent: there are no pages for administrators. */
  readonly administration?: Administration;
}

export interface Context extends PagesOptions {
  readonly now: () => number;
  readonly sessions: Sessions;
  readonly visible: VisibleRepositories;
  readonly facts: RepositoryViews;
  readonly inPlace: InPlace;
  readonly streams: EventStreams;
  readonly openApi: object;
  readonly administrators: Administrators;
  /** Of credentials that no repository shows to be good. */
  readonly administratorGuesses: RequestRate;
  readonly administratorActions: RequestRate;
  /** The actions that ask Bitbucket with an account of the mirror's. */
  readonly accountTries: RequestRate;
}

const MAX_SEARCH_LENGTH = 200;
export const CONCURRENT_READS = 16;

export const NO_REPOSITORY =
  "There is no such repository here, or you may not read it with this credential at Bitbucket.";

export interface Visit {
  readonly caller: Caller | undefined;
  /** A cookie was sent, and does not count any more. */
  readonly hasExpired: boolean;
}

/** By the session; without one, by git's credential, as programs send it. */
export function visitOf(request: HttpRequest, { sessions }: Context): Visit {
  const cookie = readSessionCookie(request.headers["cookie"], isSecure(request));
  if (cookie === undefined) {
    const { authorization } = request.headers;
    const caller = authorization === undefined ? undefined : callerOfHeader(authorization);
    return { caller: caller && { ...caller, isByHeader: true }, hasExpired: false };
  }
  const session = sessions.open(cookie);
  if (session === undefined) return { caller: undefined, hasExpired: true };
  return { caller: callerOf(session.user, session.token), hasExpired: false };
}

/** Programs send the credential itself; browsers, which may remember one of git's, are known by their session. */
export function apiVisitOf(request: HttpRequest, context: Context): Visit | "not-a-credential" {
  const { authorization } = request.headers;
  if (authorization === undefined) return visitOf(request, context);
  const caller = callerOfHeader(authorization);
  return caller === undefined ? "not-a-credential" : { caller, hasExpired: false };
}

export function viewerOf(
  { basePath = "" }: HttpRequest,
  caller: Caller | undefined,
  { version, administration }: Context,
): Viewer {
  // Whether the caller is one is asked when the page is.
  const mayAdminister = administration !== undefined && caller?.rest !== undefined;
  return { name: caller?.name, basePath, version, mayAdminister, canSignOut: !caller?.isByHeader };
}

export function isSecure(request: HttpRequest): boolean {
  return serverUrlOf(request)?.startsWith("https:") ?? false;
}

export function mirrorUrlOf(request: HttpRequest, { serverUrl }: Context): string {
  return serverUrlOf(request) ?? serverUrl();
}

export function rangeOf({ query }: HttpRequest) {
  const start = Number(query.get("start") ?? 0);
  return {
    search: (query.get("search") ?? "").slice(0, MAX_SEARCH_LENGTH),
    start: Number.isSafeInteger(start) && start > 0 ? start : 0,
  };
}

export async function listOf(
  request: HttpRequest,
  caller: Caller | undefined,
  context: Context,
): Promise<ApiRepositoryList & Pick<VisiblePage, "rejection">> {
  const { visible, facts, inPlace } = context;
  const { repositories, totalCount, nextStart, notes, rejection } = await visible.page(
    request,
    caller,
    rangeOf(request),
  );
  const mirrorUrl = mirrorUrlOf(request, context);
  const shown = new Map<VisibleRepository, ApiRepository>();
  await inPlace(request, caller?.authorization, () =>
    inTurns(
      repositories,
      CONCURRENT_READS,
      async (one) => void shown.set(one, await facts.of(one, mirrorUrl)),
    ),
  );
  return {
    repositories: repositories.flatMap((one) => shown.get(one) ?? []),
    totalCount,
    ...(nextStart !== undefined && { nextStart }),
    notes: [...notes],
    ...(rejection !== undefined && { rejection }),
  };
}

/** @returns What is shown, or why nothing is. */
export async function readableFacts(
  request: HttpRequest,
  caller: Caller | undefined,
  named: NamedRepository,
  context: Context,
): Promise<ApiRepository | Exclude<ReadDecision, { kind: "allowed" }>> {
  const { visible, facts, inPlace, mayRead } = context;
  const decision = await mayRead(request, caller?.authorization, named);
  if (decision.kind !== "allowed") return decision;
  const mirrored = await visible.mirrored();
  const one = mirrored.find(({ uuid }) => uuid === decision.uuid);
  if (one === undefined) return { kind: "not-found", text: NO_REPOSITORY };
  return inPlace(request, caller?.authorization, () => facts.detailsOf(one, mirrorUrlOf(request, context)));
}

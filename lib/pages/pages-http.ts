/**
 * Pages for people, and a JSON API with the same facts:
 *
 *   /                              the caller's repositories
 *   /<workspace>/<slug>            a repository, where the client accepts HTML; other clients get git's answer
 *   /-/pages/<workspace>/<slug>    the same
 *   /-/sign-in, /-/sign-out        sessions
 *   /-/admin/…                     for administrators of a workspace at Bitbucket
 *   /-/events                      states as they change
 *   /-/api/v1/…                    JSON
 *   /-/setup.sh, /-/setup.ps1      make git read from here what remotes name at Bitbucket
 *   /-/page.css, /-/page.js        assets
 *
 * All repositories that an answer shows were checked for the caller: by Bitbucket's list for the credential, by the same decision as git's,
 * or because they are public.
 */
import { RequestRate } from "../auth/request-limits.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { findWorkspace } from "../mirror/mirror-config.ts";
import { adminAnswer } from "./admin-http.ts";
import { ADMIN_PATH } from "./admin-visit.ts";
import { Administrators } from "./administrators.ts";
import { answerApiList, answerApiRepository } from "./api.ts";
import type { ApiRepository } from "./api-schemas.ts";
import { type ClientSetup, setupScript } from "./client-setup.ts";
import { EventStreams } from "./event-streams.ts";
import { readForm } from "./form.ts";
import { listPage, listPart } from "./list-page.ts";
import { openApiDocument } from "./openapi.ts";
import {
  CONCURRENT_READS,
  type Context,
  listOf,
  mirrorUrlOf,
  NO_REPOSITORY,
  type PagesOptions,
  rangeOf,
  readableFacts,
  viewerOf,
  visitOf,
} from "./page-context.ts";
import { ASSETS } from "./page-layout.ts";
import { pagePlaces } from "./page-places.ts";
import {
  assetResponse,
  htmlResponse,
  jsonResponse,
  polledResponse,
  reaching,
  textPage,
} from "./page-response.ts";
import type { NamedRepository } from "./ports.ts";
import { powershellSetup } from "./powershell-setup.ts";
import { repositoryPage } from "./repository-page.ts";
import { namedBy, repositoryPageOf } from "./repository-path.ts";
import { EVENT_VIEW_MS, RepositoryViews } from "./repository-views.ts";
import { Sessions } from "./sessions.ts";
import { SIGN_IN_PATH, sessionEnded, signIn, signOut } from "./sign-in.ts";
import { messagePage, signInPage } from "./sign-in-page.ts";
import { inTurns, VisibleRepositories, type VisibleRepository } from "./visible-repositories.ts";

/** @returns `undefined` for a request that is not for a page. */
export type AnswerPage = (request: HttpRequest) => Promise<HttpResponse | undefined>;

export function pagesHttp(options: PagesOptions): AnswerPage {
  const now = options.now ?? Date.now;
  const context: Context = {
    ...options,
    now,
    sessions: new Sessions(options.sessionSecret, now),
    visible: new VisibleRepositories({ ...options, now }),
    facts: new RepositoryViews(options.store, now),
    inPlace: pagePlaces(),
    streams: new EventStreams({ intervalMs: options.eventIntervalMs ?? 5_000 }),
    openApi: openApiDocument(options.version),
    administrators: new Administrators({
      administered: options.administration?.administered ?? (async () => []),
      store: options.store,
      now,
    }),
    administratorGuesses: new RequestRate(10, now),
    administratorActions: new RequestRate(30, now),
    accountTries: new RequestRate(5, now),
  };
  return async (request) => {
    const form = takesForms(request.path) ? await readForm(request) : undefined;
    return answerOf(request, form, context)?.();
  };
}

function takesForms(path: string): boolean {
  return path === SIGN_IN_PATH || path.startsWith(`${ADMIN_PATH}/`);
}

type Answer = () => Promise<HttpResponse> | HttpResponse;

function answerOf(
  request: HttpRequest,
  form: URLSearchParams | undefined,
  context: Context,
): Answer | undefined {
  const { path, method } = request;
  const isRead = method === "GET" || method === "HEAD";
  if (path === SIGN_IN_PATH) {
    if (method === "POST") return () => signIn(request, form, context);
    return isRead
      ? () => htmlResponse(request, 200, signInPage({ viewer: viewerOf(request, undefined, context) }))
      : undefined;
  }
  if (path === "/-/sign-out") return method === "POST" ? () => signOut(request) : undefined;
  if ((isRead || method === "POST") && (path === ADMIN_PATH || path.startsWith(`${ADMIN_PATH}/`)))
    return adminAnswer(request, form, context);
  if (!isRead) return undefined;
  switch (path) {
    case "/":
      return () => answerList(request, context);
    case "/-/page.css":
      return () => assetResponse(request, ASSETS.style.text, ASSETS.style.contentType);
    case "/-/page.js":
      return () => assetResponse(request, ASSETS.script.text, ASSETS.script.contentType);
    case "/-/setup.sh":
      return () => answerSetup(request, context, setupScript, "text/x-shellscript; charset=utf-8");
    case "/-/setup.ps1":
      return () => answerSetup(request, context, powershellSetup, "text/plain; charset=utf-8");
    case "/-/events":
      return () => answerEvents(request, context);
    case "/-/api/v1/openapi.json":
      return () => jsonResponse(request, 200, context.openApi);
    case "/-/api/v1/repositories":
      return () => answerApiList(request, context);
  }
  const ofApi = namedBy(/^\/-\/api\/v1\/repositories\/([^/]+)\/([^/]+)$/.exec(path));
  if (ofApi !== undefined) return () => answerApiRepository(request, ofApi, context);
  const named = repositoryPageOf(request);
  return named && (() => answerRepository(request, named, context));
}

/** The same for everyone: it names this server and Bitbucket. */
function answerSetup(
  request: HttpRequest,
  context: Context,
  scriptOf: (setup: ClientSetup) => string,
  contentType: string,
): Promise<HttpResponse> {
  const script = scriptOf({ mirrorUrl: mirrorUrlOf(request, context), primaryUrl: context.gitUrl });
  return textPage(request, script, contentType);
}

async function answerList(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const { caller, hasExpired } = visitOf(request, context);
  if (hasExpired) return sessionEnded(request, context);
  const list = await listOf(request, caller, context);
  const page = {
    ...{ viewer: viewerOf(request, caller, context), list, ...rangeOf(request) },
    mirrorUrl: mirrorUrlOf(request, context),
    pagePath: `${request.basePath ?? ""}${context.pagePrefix ?? ""}`,
    allowsAnonymous: context.allowsAnonymous,
    nowMs: context.now(),
  };
  return htmlResponse(request, 200, request.query.get("part") === "list" ? listPart(page) : listPage(page));
}

async function answerRepository(
  request: HttpRequest,
  named: NamedRepository,
  context: Context,
): Promise<HttpResponse> {
  const { caller, hasExpired } = visitOf(request, context);
  if (hasExpired) return sessionEnded(request, context);
  const viewer = viewerOf(request, caller, context);
  const found = await readableFacts(request, caller, named, context);
  if ("state" in found) {
    const config = await context.readConfig();
    const { otherMirrors = [] } = findWorkspace(config, found.workspace) ?? {};
    const page = {
      viewer,
      repository: found,
      primaryUrl: context.gitUrl,
      nowMs: context.now(),
      otherMirrors,
    };
    const origins = otherMirrors.map((url) => new URL(url).origin);
    return htmlResponse(request, 200, repositoryPage(page), reaching(origins));
  }
  if (found.kind === "busy")
    return htmlResponse(request, 503, messagePage(viewer, "Try again in a moment", found.text));
  // Absent, not mirrored and not allowed look the same.
  return htmlResponse(request, 404, messagePage(viewer, "Not found", NO_REPOSITORY));
}

/** For the page's script: states and times of what it shows. A stream ends after a minute, and rights are checked again. */
async function answerEvents(request: HttpRequest, context: Context): Promise<HttpResponse> {
  const { caller, hasExpired } = visitOf(request, context);
  if (hasExpired)
    return htmlResponse(
      request,
      401,
      messagePage(viewerOf(request, undefined, context), "Sign in again", ""),
    );
  const name = request.query.get("repository");
  const named = name === null ? undefined : namedBy(/^([^/]+)\/([^/]+)$/.exec(name));
  const first = named
    ? [await readableFacts(request, caller, named, context)].filter((found) => "state" in found)
    : (await listOf(request, caller, context)).repositories;
  const repositories = await shownOf(first, context);
  const mirrorUrl = mirrorUrlOf(request, context);
  const read = async () => {
    const states: ApiRepository[] = [];
    await inTurns(
      repositories,
      CONCURRENT_READS,
      async (one) => void states.push(await context.facts.of(one, mirrorUrl, EVENT_VIEW_MS)),
    );
    const shown = states.map(({ workspace, slug, state, published }) => ({
      ...{ name: `${workspace}/${slug}`, state, verifiedAt: published?.verifiedAt },
    }));
    // In an order that does not depend on which was read first.
    return { repositories: shown.sort((a, b) => (a.name < b.name ? -1 : 1)) };
  };
  // The time is in the answer's `Date`: this way it stays the same while nothing changes.
  if (request.query.has("once")) return polledResponse(request, await read());
  const readNow = async () => ({ nowMs: context.now(), ...(await read()) });
  return context.streams.open(request, readNow) ?? jsonResponse(request, 204, {});
}

async function shownOf(
  repositories: readonly ApiRepository[],
  { visible }: Context,
): Promise<readonly VisibleRepository[]> {
  const uuids = new Set(repositories.map(({ uuid }) => uuid));
  return (await visible.mirrored()).filter(({ uuid }) => uuids.has(uuid));
}

/**
 * `/-/admin`: for callers who administer a mirrored workspace at Bitbucket, by their session. What they do is logged in the store before
 * it is done.
 */
import { errorFields, MirrorError, OverloadedError, UpstreamError, VersionConflictError } from "../errors.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { appendAdminLog, loggedText, readAdminLog } from "../mirror/admin-log.ts";
import { findWorkspace, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { type RepositoryStatus, readRepositoryStatus } from "../mirror/mirror-status.ts";
import { failedRepositories } from "../mirror/repository-state.ts";
import { selects } from "../mirror/selection.ts";
import { type IndexedRepository, readWorkspaceIndex } from "../mirror/workspace-index.ts";
import {
  ADMIN_ACTIONS,
  type AdminAction,
  type AdminActionName,
  isAdminAction,
  type PlannedAction,
} from "./admin-actions.ts";
import {
  type AdministeredWorkspace,
  type HiddenRepository,
  overviewPage,
  workspacePage,
} from "./admin-pages.ts";
import { message, pageOf, type Visit } from "./admin-visit.ts";
import { readHistory } from "./metric-charts.ts";
import { type Context, visitOf } from "./page-context.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import { answerPreview } from "./selection-preview.ts";
import { sessionEnded } from "./sign-in.ts";
import { inTurns } from "./visible-repositories.ts";

export const ADMIN_PATH = "/-/admin";

const SHOWN_FAILURES = 50;
const SHOWN_LOG_ENTRIES = 50;
const CONCURRENT_READS = 8;

const NOT_ADMINISTRATOR =
  "This page is for administrators of a mirrored workspace, by their right at Bitbucket. Sign in with the e-mail address of such an account and an API token that has the scopes read:workspace:bitbucket and read:repository:bitbucket.";

/** @returns `undefined` for a path that is none of these. */
export function adminAnswer(
  request: HttpRequest,
  form: URLSearchParams | undefined,
  context: Context,
): (() => Promise<HttpResponse> | HttpResponse) | undefined {
  const { administration } = context;
  const [, name, part, ...more] = request.path.slice(ADMIN_PATH.length).split("/");
  if (administration === undefined || more.length > 0) return undefined;
  return async () => {
    const { caller, hasExpired } = visitOf(request, context);
    if (hasExpired) return sessionEnded(request, context);
    if (caller === undefined || caller.isByHeader)
      return redirectResponse(`${request.basePath ?? ""}/-/sign-in`);
    const visit = { request, context, administration, caller };
    try {
      const own = await context.administrators.ofMirrored(caller, context.readConfig);
      if (own.length === 0) return message(visit, 403, "For administrators only", NOT_ADMINISTRATOR);
      if (name === undefined || name === "")
        return await context.inPlace(request, caller.authorization, () => answerOverview(visit, own));
      const workspace = own.find((one) => one.workspace.toLowerCase() === name.toLowerCase());
      if (workspace !== undefined) return await answerWorkspace(visit, workspace, part, form);
      return await answerOther(visit, name.toLowerCase(), part, form);
    } catch (error) {
      if (error instanceof UpstreamError)
        return message(visit, 503, "Try again in a moment", "Bitbucket could not be asked just now.");
      if (error instanceof OverloadedError || !(error instanceof MirrorError)) throw error;
      return message(visit, 500, "Not done", `The mirror failed: ${wordsOf(error)}.`);
    }
  };
}

/** One that is not mirrored may be connected. */
async function answerOther(
  visit: Visit,
  workspace: string,
  part: string | undefined,
  form: URLSearchParams | undefined,
): Promise<HttpResponse> {
  const { request, context, administration, caller } = visit;
  const others = await context.administrators.notMirrored(caller, context.readConfig);
  if (!others.includes(workspace) || request.method !== "POST" || part !== "connect")
    return message(visit, 404, "Not found", "You administer no mirrored workspace of this name.");
  if (!administration.canConnect)
    return message(
      visit,
      403,
      "Not done",
      `This page connects no workspace: ask the mirror's operator, for nearside connect ${workspace}.`,
    );
  return form === undefined ? foreignForm(visit) : act(visit, workspace, part, form);
}

async function answerWorkspace(
  visit: Visit,
  workspace: MirroredWorkspace,
  part: string | undefined,
  form: URLSearchParams | undefined,
): Promise<HttpResponse> {
  const { request, context, caller } = visit;
  if (request.method === "POST") {
    if (part === undefined || !isAdminAction(part))
      return message(visit, 404, "Not found", "There is no such action.");
    return form === undefined ? foreignForm(visit) : act(visit, workspace.workspace, part, form);
  }
  if (part === "select") return answerPreview(visit, workspace);
  if (part !== undefined) return message(visit, 404, "Not found", "There is no such page.");
  const done = request.query.get("done") ?? "";
  const shown = { ...(isAdminAction(done) && { message: ADMIN_ACTIONS[done].done }) };
  return context.inPlace(request, caller.authorization, () => showWorkspace(visit, workspace, shown));
}

function foreignForm(visit: Visit): Promise<HttpResponse> {
  const text = "The form was sent by another site. Use the forms of these pages.";
  return message(visit, 403, "Not done", text);
}

async function act(
  visit: Visit,
  workspace: string,
  name: AdminActionName,
  form: URLSearchParams,
): Promise<HttpResponse> {
  const { request, context, administration, caller } = visit;
  const { store, now, administratorActions, accountTries } = context;
  const triesAccount = name === "connect" || name === "reconnect";
  const rate = triesAccount ? accountTries : administratorActions;
  const waitSeconds = rate.take(caller.name.toLowerCase());
  if (waitSeconds > 0)
    return message(visit, 429, "Not done", `Too many actions: try again in ${waitSeconds} seconds.`);
  const entry = { at: new Date(now()).toISOString(), who: loggedText(caller.name), action: name };
  let planned: PlannedAction;
  try {
    const action: AdminAction = ADMIN_ACTIONS[name];
    planned = await action.plan(workspace, form, { ...context, administration });
  } catch (error) {
    return showProblem(visit, workspace, error, 400);
  }
  const { detail, run } = planned;
  const logged = { ...entry, ...(detail !== undefined && { detail: loggedText(detail) }) };
  try {
    await appendAdminLog(store, workspace, logged);
    await run();
  } catch (error) {
    const problem = error instanceof MirrorError ? loggedText(wordsOf(error)) : "an error of the mirror";
    administration.log.warn("admin:action", { workspace, ...logged, problem, ...errorFields(error) });
    await appendAdminLog(store, workspace, { ...logged, problem });
    return showProblem(visit, workspace, error, 409);
  }
  administration.log.info("admin:action", { workspace, ...logged });
  return redirectResponse(`${request.basePath ?? ""}${ADMIN_PATH}/${workspace}?done=${name}`);
}

function wordsOf(error: MirrorError): string {
  return error instanceof VersionConflictError
    ? "others changed the same at the same time; try again"
    : error.message;
}

/** What the mirror did not do, and why. Errors that are none of its own are thrown. */
async function showProblem(
  visit: Visit,
  workspace: string,
  error: unknown,
  status: number,
): Promise<HttpResponse> {
  if (!(error instanceof MirrorError)) throw error;
  const found = findWorkspace(await visit.context.readConfig(), workspace);
  if (found === undefined) return message(visit, status, "Not done", `${workspace}: ${wordsOf(error)}.`);
  return showWorkspace(visit, found, { problem: wordsOf(error), status });
}

async function answerOverview(visit: Visit, own: readonly MirroredWorkspace[]): Promise<HttpResponse> {
  const { request, context, administration, caller } = visit;
  const summaries = new Map<MirroredWorkspace, AdministeredWorkspace>();
  await inTurns(own, CONCURRENT_READS, async (one) => void summaries.set(one, await summaryOf(visit, one)));
  const history = await readHistory(administration);
  return htmlResponse(
    request,
    200,
    overviewPage({
      ...pageOf(visit),
      workspaces: own.flatMap((one) => summaries.get(one) ?? []),
      ...history,
      others: await context.administrators.notMirrored(caller, context.readConfig),
      canConnect: administration.canConnect,
      nowMs: context.now(),
    }),
  );
}

async function summaryOf(
  { context: { store } }: Visit,
  workspace: MirroredWorkspace,
): Promise<AdministeredWorkspace & { readonly failedUuids: readonly string[] }> {
  const { value: index } = await readWorkspaceIndex(store, workspace.workspace);
  const repositories = index?.repositories ?? {};
  const failedUuids: string[] = [];
  for await (const uuid of failedRepositories(store, workspace.workspace))
    if (repositories[uuid]?.held === "mirrored") failedUuids.push(uuid);
  return {
    workspace,
    mirroredCount: Object.values(repositories).filter(({ held }) => held === "mirrored").length,
    listedAt: index?.listedAt,
    noAccess: hiddenOf(workspace, Object.values(repositories)),
    failedCount: failedUuids.length,
    failedUuids,
  };
}

function hiddenOf(
  workspace: MirroredWorkspace,
  repositories: readonly IndexedRepository[],
): HiddenRepository[] {
  return repositories
    .filter(
      ({ isGone, isDeleted, unlisted, slug, projectKey, isPrivate }) =>
        (isGone || unlisted !== undefined) &&
        !isDeleted &&
        selects(workspace, { workspace: workspace.workspace, slug, projectKey, isPrivate }),
    )
    .map(({ slug, unlisted, seenAt, isGone }) => ({
      slug,
      since: unlisted?.since ?? seenAt,
      isServed: !isGone,
    }))
    .sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

async function showWorkspace(
  visit: Visit,
  workspace: MirroredWorkspace,
  said: { readonly message?: string; readonly problem?: string; readonly status?: number },
): Promise<HttpResponse> {
  const { request, context, administration } = visit;
  const { workspace: name } = workspace;
  const [{ failedUuids, ...summary }, log, deadLetters] = await Promise.all([
    summaryOf(visit, workspace),
    readAdminLog(context.store, name),
    administration.deadLetters?.list(name),
  ]);
  const page = {
    ...pageOf(visit),
    ...summary,
    failed: await failedStatuses(visit, name, failedUuids.slice(0, SHOWN_FAILURES)),
    deadLetters,
    log: log.toReversed().slice(0, SHOWN_LOG_ENTRIES),
    canChange: administration.configuration !== undefined,
    ...said,
  };
  return htmlResponse(request, said.status ?? 200, workspacePage(page));
}

async function failedStatuses(
  { context: { store } }: Visit,
  workspace: string,
  uuids: readonly string[],
): Promise<RepositoryStatus[]> {
  const { value: index } = await readWorkspaceIndex(store, workspace);
  const statuses: RepositoryStatus[] = [];
  await inTurns(uuids, CONCURRENT_READS, async (uuid) => {
    const entry = index?.repositories[uuid];
    if (entry === undefined) return;
    const { slug, projectKey, isPrivate } = entry;
    statuses.push(
      await readRepositoryStatus(store, { uuid, workspace, slug, projectKey, isPrivate, isSelected: true }),
    );
  });
  return statuses.sort((a, b) => (a.slug < b.slug ? -1 : 1));
}

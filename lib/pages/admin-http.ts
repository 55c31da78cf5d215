/** `/-/admin`: for callers who administer a mirrored workspace at Bitbucket, by their session. */
import { MirrorError, OverloadedError, UpstreamError } from "../errors.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { act, showWorkspace } from "./admin-act.ts";
import { ADMIN_ACTIONS, isAdminAction } from "./admin-actions.ts";
import { overviewPage } from "./admin-overview-page.ts";
import type { AdministeredWorkspace } from "./admin-parts.ts";
import { CONCURRENT_READS, summaryOf } from "./admin-summary.ts";
import { ADMIN_PATH, message, pageOf, type Visit } from "./admin-visit.ts";
import { wordsOf } from "./admin-words.ts";
import { readHistory } from "./metric-charts.ts";
import { type Context, visitOf } from "./page-context.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import { answerPreview } from "./selection-preview.ts";
import { sessionEnded } from "./sign-in.ts";
import { inTurns } from "./visible-repositories.ts";

const CONNECT_COMMAND = "nearside connect <workspace> --credential <workspace>";

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
      `This page connects no workspace: ask the mirror's operator, for ${(administration.connectCommand ?? CONNECT_COMMAND).replaceAll("<workspace>", workspace)}`,
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
      connectCommand: administration.connectCommand ?? CONNECT_COMMAND,
      nowMs: context.now(),
    }),
  );
}

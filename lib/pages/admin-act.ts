/** What an administrator does by a form: logged in the store before it is done. */
import { errorFields, MirrorError } from "../errors.ts";
import type { HttpResponse } from "../http/message.ts";
import { appendAdminLog, loggedText, readAdminLog } from "../mirror/admin-log.ts";
import { findWorkspace, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { ADMIN_ACTIONS, type AdminAction, type AdminActionName } from "./admin-actions.ts";
import { failedStatuses, summaryOf } from "./admin-summary.ts";
import { ADMIN_PATH, message, pageOf, type Visit } from "./admin-visit.ts";
import { wordsOf } from "./admin-words.ts";
import { type ShownLetters, workspacePage } from "./admin-workspace-page.ts";
import { htmlResponse, redirectResponse } from "./page-response.ts";
import type { PlannedAction } from "./planned-action.ts";

const SHOWN_FAILURES = 50;
const SHOWN_LOG_ENTRIES = 50;

export async function act(
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
  const { detail } = planned;
  const logged = { ...entry, ...(detail !== undefined && { detail: loggedText(detail) }) };
  try {
    await appendAdminLog(store, workspace, logged);
    await perform(visit, { workspace, action: name, form, planned });
  } catch (error) {
    const problem = error instanceof MirrorError ? loggedText(wordsOf(error)) : "an error of the mirror";
    administration.log.warn("admin:action", { workspace, ...logged, problem, ...errorFields(error) });
    await appendAdminLog(store, workspace, { ...logged, problem });
    return showProblem(visit, workspace, error, 409);
  }
  administration.log.info("admin:action", { workspace, ...logged });
  return redirectResponse(`${request.basePath ?? ""}${ADMIN_PATH}/${workspace}?done=${name}`);
}

interface Performed {
  readonly workspace: string;
  readonly action: AdminActionName;
  readonly form: URLSearchParams;
  readonly planned: PlannedAction;
}

/** Here, or by the process that may. */
async function perform(visit: Visit, { workspace, action, form, planned }: Performed): Promise<void> {
  const { delegate } = visit.administration;
  const { onlyQueues }: AdminAction = ADMIN_ACTIONS[action];
  if (delegate === undefined || onlyQueues) await planned.run();
  else await delegate.perform({ ...delegated(visit, workspace), action, form: form.toString() });
}

function delegated({ caller }: Visit, workspace: string) {
  return { workspace, authorization: caller.rest ?? "" };
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

export async function showWorkspace(
  visit: Visit,
  workspace: MirroredWorkspace,
  said: { readonly message?: string; readonly problem?: string; readonly status?: number },
): Promise<HttpResponse> {
  const { request, context } = visit;
  const { workspace: name } = workspace;
  const [{ failedUuids, ...summary }, log, letters] = await Promise.all([
    summaryOf(visit, workspace),
    readAdminLog(context.store, name),
    listLetters(visit, name),
  ]);
  const page = {
    ...pageOf(visit),
    ...summary,
    failed: await failedStatuses(visit, name, failedUuids.slice(0, SHOWN_FAILURES)),
    ...letters,
    log: log.toReversed().slice(0, SHOWN_LOG_ENTRIES),
    ...said,
  };
  return htmlResponse(request, said.status ?? 200, workspacePage(page));
}

/** Another process is asked for them only where the administrator asks: it takes a second or two to start. */
async function listLetters(visit: Visit, workspace: string): Promise<ShownLetters> {
  const { delegate, deadLetters } = visit.administration;
  if (delegate === undefined)
    return { deadLetters: await deadLetters?.list(workspace), canListLetters: false };
  if (!visit.request.query.has("letters")) return { deadLetters: undefined, canListLetters: true };
  return { deadLetters: await delegate.deadLetters(delegated(visit, workspace)), canListLetters: true };
}

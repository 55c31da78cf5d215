/** What administrators see: the mirror's metrics, and each of their workspaces with what can be done to it. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import type { AdminLogEntry } from "../mirror/admin-log.ts";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { RepositoryStatus } from "../mirror/mirror-status.ts";
import type { AdminActionName } from "./admin-actions.ts";
import { metricCharts } from "./metric-charts.ts";
import { type Html, layout, type Viewer } from "./page-layout.ts";
import type { MeasuredHistory } from "./ports.ts";
import { describeErrorCode } from "./repository-views.ts";

export interface AdministeredWorkspace {
  readonly workspace: MirroredWorkspace;
  readonly mirroredCount: number;
  readonly listedAt: string | undefined;
  /** Selected repositories that Bitbucket's list lacks, and that are not known to be deleted; by name. */
  readonly noAccess: readonly HiddenRepository[];
  readonly failedCount: number;
}

export interface HiddenRepository {
  readonly slug: string;
  readonly since: string;
  /** Many vanished at once: served until that is certain. */
  readonly isServed: boolean;
}

export interface AdminPage {
  readonly viewer: Viewer;
  readonly nowMs: number;
  /** See `Administration`. */
  readonly elsewhere: string | undefined;
}

export interface OverviewPage extends AdminPage {
  readonly workspaces: readonly AdministeredWorkspace[];
  readonly history: MeasuredHistory | undefined;
  readonly historyProblem?: string;
  /** Names of workspaces that the viewer administers at Bitbucket, and that are not mirrored. */
  readonly others: readonly string[];
  readonly canConnect: boolean;
}

export function overviewPage(page: OverviewPage): Html {
  const { viewer, workspaces, history, historyProblem, elsewhere, nowMs } = page;
  return layout(
    "Administration – Nearside",
    viewer,
    html`<h1>Administration</h1>
<p>Workspaces of this mirror that you administer at Bitbucket.</p>
<ul class="workspaces">${workspaces.map(
      (
        one,
      ) => html`<li><a href="${viewer.basePath}/-/admin/${one.workspace.workspace}">${one.workspace.workspace}</a>
<span>${modeCell(one.workspace)}, ${countedRepositories(one.mirroredCount)}${one.failedCount > 0 ? `, ${one.failedCount} failed or not finished` : ""}${one.noAccess.length > 0 ? `, ${one.noAccess.length} without access` : ""}, ${listedWords(one, nowMs)}</span></li>
`,
    )}</ul>
${connecting(page)}<section aria-labelledby="metrics-title"><h2 id="metrics-title">The whole mirror, over time</h2>
${
  history === undefined
    ? html`<p>${historyProblem ?? elsewhere}</p>`
    : html`<p>The last ${Math.round((history.slotCount * history.slotMs) / 3_600_000)} hours, or since the mirror was started; all workspaces together.</p>
${metricCharts(history)}`
}
</section>`,
  );
}

/** Accounts are never entered here: the mirror reads them from where its operator keeps secrets. */
function connecting({ viewer, others, canConnect }: OverviewPage): Html | "" {
  if (others.length === 0) return "";
  const connect = (workspace: string, label: string, fields: Html | "") =>
    form({ viewer, workspace: { workspace } }, "connect", label, fields);
  return html`<section aria-labelledby="connect-title"><h2 id="connect-title">Not mirrored</h2>
<p>You administer these at Bitbucket too. The mirror reads a workspace with the account whose secret has the workspace’s name: its operator stores it, as a variable or an SSM parameter.</p>
<ul class="workspaces">${others.map((name) =>
    canConnect
      ? html`<li>${name}
${connect(name, `Connect ${name} with its account`, html`<input type="hidden" name="credential" value="${name}">`)}
${connect(name, `Connect public repositories of ${name}`, "")}</li>
`
      : html`<li>${name}: <code>nearside connect ${name} --credential ${name} --store s3://…</code></li>
`,
  )}</ul></section>
`;
}

export interface WorkspacePage extends AdminPage, AdministeredWorkspace {
  /** Some of those that failed. */
  readonly failed: readonly RepositoryStatus[];
  /** `undefined` where this process may not read them. */
  readonly deadLetters: readonly string[] | undefined;
  /** Newest first. */
  readonly log: readonly AdminLogEntry[];
  readonly canChange: boolean;
  /** Of the action before. */
  readonly message?: string | undefined;
  readonly problem?: string | undefined;
}

export function workspacePage(page: WorkspacePage): Html {
  const { viewer, workspace, message, problem, canChange, elsewhere } = page;
  const { workspace: name } = workspace;
  return layout(
    `${name}, administration – Nearside`,
    viewer,
    html`<p class="path"><a href="${viewer.basePath}/-/admin">Administration</a></p>
<h1>${name}</h1>
${message === undefined ? "" : html`<p class="note good" role="status" id="message">${message}</p>`}
${problem === undefined ? "" : html`<p class="note bad" role="alert" id="problem">${problem}</p>`}
<dl class="facts">
<div><dt>State</dt><dd>${modeCell(workspace)}</dd></div>
<div><dt>Repositories</dt><dd>${page.mirroredCount}</dd></div>
<div><dt>Bitbucket’s list</dt><dd>${listedWords(page, page.nowMs)}</dd></div>
<div><dt>Account</dt><dd>${workspace.credential === undefined ? "none: public repositories only" : html`<code>${workspace.credential}</code>`}</dd></div>
</dl>
${failures(page)}${removals(page)}${syncing(page)}
${canChange ? html`${selection(page)}${account(page)}${lifecycle(page)}` : html`<section aria-labelledby="change-title"><h2 id="change-title">Change</h2><p>${elsewhere}</p></section>`}
${deadLetters(page)}${logTable(page)}`,
  );
}

function failures({ failed, failedCount, nowMs, ...page }: WorkspacePage): Html {
  if (failedCount === 0) return html``;
  const { workspace } = page.workspace;
  return html`<section aria-labelledby="failed-title"><h2 id="failed-title">Failed or not finished: ${failedCount}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Repositories whose last sync failed"><table>
<thead><tr><th scope="col">Repository</th><th scope="col">Why</th><th scope="col">When</th></tr></thead>
<tbody>${failed.map(
    ({ slug, lastError }) => html`<tr><th scope="row">${workspace}/${slug}</th>
<td>${lastError === undefined ? "Its first copy is not finished." : describeErrorCode(lastError.code)}</td>
<td>${lastError === undefined ? "" : `${describeAge(nowMs - Date.parse(lastError.at))} ago`}</td></tr>
`,
  )}</tbody></table></div>
${failedCount > failed.length ? html`<p>… and ${failedCount - failed.length} more.</p>` : ""}
${form(page, "retry", "Retry them now")}</section>
`;
}

const SHOWN_HIDDEN = 50;

function removals(page: WorkspacePage): Html {
  const { noAccess, nowMs, canChange, workspace } = page;
  if (noAccess.length === 0) return html``;
  return html`<section aria-labelledby="removals-title"><h2 id="removals-title">Not shown by Bitbucket: ${noAccess.length}</h2>
<p>Bitbucket does not list these for the mirror’s account: it lacks the right to read them, or they were deleted. Give ${workspace.credential === undefined ? "the workspace an account with" : html`the account <code>${workspace.credential}</code>`} the right, then sync the workspace.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Repositories that Bitbucket does not show"><table>
<thead><tr><th scope="col">Repository</th><th scope="col">Since</th><th scope="col">Served</th></tr></thead>
<tbody>${noAccess.slice(0, SHOWN_HIDDEN).map(
    ({ slug, since, isServed }) => html`<tr><th scope="row">${workspace.workspace}/${slug}</th>
<td>${describeAge(nowMs - Date.parse(since))} ago</td><td>${isServed ? "until three lists over 24 hours lack it" : "no"}</td></tr>
`,
  )}</tbody></table></div>
${noAccess.length > SHOWN_HIDDEN ? html`<p>… and ${noAccess.length - SHOWN_HIDDEN} more.</p>` : ""}
<p>If only some were deleted: <code>nearside reconcile --accept-removals ${workspace.workspace}/${noAccess[0]?.slug ?? ""}</code></p>
${canChange ? form(page, "accept", noAccess.length === 1 ? "It was deleted at Bitbucket" : `All ${noAccess.length} were deleted at Bitbucket`) : ""}</section>
`;
}

function syncing(page: WorkspacePage): Html {
  if (page.workspace.disabled || page.workspace.removedAt !== undefined) return html``;
  return html`<section aria-labelledby="sync-title"><h2 id="sync-title">Sync now</h2>
<p>Lists the workspace at Bitbucket, and synchronizes what has changed.</p>
${form(page, "sync", "Sync the workspace")}
${form(
  page,
  "sync",
  "Sync this repository",
  html`<label for="sync-repository">One repository</label>
<input id="sync-repository" name="repository" required maxlength="200" spellcheck="false" autocapitalize="none" aria-describedby="sync-hint">
<small id="sync-hint">Its name without the workspace.</small>`,
)}</section>
`;
}

function selection({ viewer, workspace }: WorkspacePage): Html {
  if (workspace.removedAt !== undefined) return html``;
  return html`<section aria-labelledby="select-title"><h2 id="select-title">Selection</h2>
${selectionForm(viewer, workspace)}</section>
`;
}

/** Asks for a preview. */
export function selectionForm(viewer: Viewer, workspace: MirroredWorkspace): Html {
  const { projects, include, exclude, publicRepositories, retentionDays } = workspace;
  const field = (
    name: string,
    label: string,
    value: string,
    hint: string,
  ) => html`<p><label for="${name}">${label}</label>
<input id="${name}" name="${name}" value="${value}" maxlength="8000" spellcheck="false" autocapitalize="none" aria-describedby="${name}-hint">
<small id="${name}-hint">${hint}</small></p>
`;
  return html`<form class="fields" method="get" action="${viewer.basePath}/-/admin/${workspace.workspace}/select">
${field("projects", "Projects", projects === "all" ? "all" : projects.join(", "), "all, or keys of projects.")}
${field("include", "Also these repositories", include.join(", "), "Patterns: * for any characters, ? for one, KEY/pattern within a project.")}
${field("exclude", "Not these", exclude.join(", "), "Patterns; they win.")}
<p><label><input type="checkbox" name="public"${publicRepositories ? html` checked` : ""}> Repositories that are public at Bitbucket</label></p>
${field("retentionDays", "Days to keep the data of repositories that are no longer mirrored", String(retentionDays), "From 0 to 3653.")}
<p><button>Preview</button></p>
</form>`;
}

function account(page: WorkspacePage): Html {
  if (page.workspace.removedAt !== undefined) return html``;
  return html`<section aria-labelledby="account-title"><h2 id="account-title">Account</h2>
${form(
  page,
  "reconnect",
  "Check and use it",
  html`<label for="credential">Name of the account’s secret</label>
<input id="credential" name="credential" value="${page.workspace.credential ?? ""}" maxlength="200" spellcheck="false" autocapitalize="none" autocomplete="off" aria-describedby="credential-hint">
<small id="credential-hint">The one in use, or one with the name ${page.workspace.workspace}; never the secret itself: the mirror’s operator stores it. Empty: public repositories only.</small>`,
)}</section>
`;
}

function lifecycle(page: WorkspacePage): Html {
  const { workspace: name, disabled, removedAt, retentionDays } = page.workspace;
  if (removedAt !== undefined) {
    const goesAt = new Date(Date.parse(removedAt) + retentionDays * 86_400_000).toISOString();
    return html`<section aria-labelledby="restore-title"><h2 id="restore-title">Removed</h2>
<p>Its data is deleted after ${goesAt.slice(0, 16).replace("T", " ")} UTC.</p>${form(page, "restore", "Restore it")}</section>
`;
  }
  return html`<section aria-labelledby="pause-title"><h2 id="pause-title">Pause and remove</h2>
${
  disabled
    ? form(page, "resume", "Resume")
    : html`<p>Paused, nothing of it is served or synchronized, and its data stays.</p>${form(page, "pause", "Pause")}`
}
<p>Removed, it is not served from now on. The mirror deletes the webhooks, and the data after the retention time.</p>
${form(
  page,
  "remove",
  "Remove",
  html`<label for="confirm">Enter <code>${name}</code> to remove it</label>
<input id="confirm" name="confirm" required maxlength="200" spellcheck="false" autocapitalize="none" autocomplete="off">`,
)}</section>
`;
}

function deadLetters(page: WorkspacePage): Html {
  const { deadLetters: letters, elsewhere } = page;
  if (letters !== undefined && letters.length === 0) return html``;
  return html`<section aria-labelledby="letters-title"><h2 id="letters-title">Dead letters</h2>
<p>Jobs that failed five times, and are kept until they are queued again.</p>
${
  letters === undefined
    ? html`<p>${elsewhere}</p>`
    : html`<ul>${letters.map((text) => html`<li>${text}</li>`)}</ul>${form(page, "replay", "Queue them again")}`
}</section>
`;
}

function logTable({ log, workspace: { workspace } }: WorkspacePage): Html {
  return html`<section aria-labelledby="log-title"><h2 id="log-title">What administrators did here</h2>
${
  log.length === 0
    ? html`<p>Nothing yet. What commands did is not in this log.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="What administrators did"><table>
<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th></tr></thead>
<tbody>${log.map(
        ({
          at,
          who,
          action,
          detail,
          problem,
        }) => html`<tr><th scope="row"><time datetime="${at}">${at.slice(0, 19).replace("T", " ")} UTC</time></th>
<td>${who}</td><td>${action} ${workspace}${detail === undefined ? "" : ` (${detail})`}${problem === undefined ? "" : html`<span class="problem">Failed: ${problem}</span>`}</td></tr>
`,
      )}</tbody></table></div>`
}</section>
`;
}

function form(
  {
    viewer,
    workspace: { workspace },
  }: { readonly viewer: Viewer; readonly workspace: Pick<MirroredWorkspace, "workspace"> },
  action: AdminActionName,
  label: string,
  fields: Html | "" = "",
): Html {
  return html`<form class="action" method="post" action="${viewer.basePath}/-/admin/${workspace}/${action}">${fields}<button>${label}</button></form>
`;
}

function modeCell({ removedAt, disabled }: MirroredWorkspace): Html {
  const [text, kind] =
    removedAt !== undefined ? ["Removed", "bad"] : disabled ? ["Paused", "waiting"] : ["Active", "good"];
  return html`<span class="state ${kind}">${text}</span>`;
}

function listedWords({ listedAt }: AdministeredWorkspace, nowMs: number): string {
  return listedAt === undefined
    ? "not listed yet"
    : `listed ${describeAge(nowMs - Date.parse(listedAt))} ago`;
}

function countedRepositories(many: number): string {
  return `${many} ${many === 1 ? "repository" : "repositories"}`;
}

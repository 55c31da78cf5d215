/** A workspace's page for administrators: what is wrong, what can be done, and what was done. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import type { AdminLogEntry } from "../mirror/admin-log.ts";
import type { RepositoryStatus } from "../mirror/mirror-status.ts";
import { type AdministeredWorkspace, type AdminPage, form, listedWords, modeCell } from "./admin-parts.ts";
import { removals } from "./admin-removals.ts";
import { type Html, layout } from "./page-layout.ts";
import { describeErrorCode } from "./repository-views.ts";
import { selectionForm } from "./selection-form.ts";

export interface ShownLetters {
  /** `undefined` where this process may not read them, or was not asked to. */
  readonly deadLetters: readonly string[] | undefined;
  /** Whether they are listed when asked for. */
  readonly canListLetters: boolean;
}

export interface WorkspacePage extends AdminPage, AdministeredWorkspace, ShownLetters {
  /** Some of those that failed. */
  readonly failed: readonly RepositoryStatus[];
  /** Newest first. */
  readonly log: readonly AdminLogEntry[];
  /** Of the action before. */
  readonly message?: string | undefined;
  readonly problem?: string | undefined;
}

export function workspacePage(page: WorkspacePage): Html {
  const { viewer, workspace, message, problem } = page;
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
${selection(page)}${account(page)}${lifecycle(page)}
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

function deadLetters(page: WorkspacePage): Html | "" {
  const { deadLetters: letters, canListLetters, viewer, workspace } = page;
  if (!canListLetters && (letters ?? []).length === 0) return "";
  const list = html`<a href="${viewer.basePath}/-/admin/${workspace.workspace}?letters=yes#letters-title">List them</a>`;
  return html`<section aria-labelledby="letters-title"><h2 id="letters-title">Dead letters</h2>
<p>Jobs that failed five times, and are kept until they are queued again.</p>
${
  letters === undefined
    ? html`<p>${list}</p>`
    : letters.length === 0
      ? html`<p>There are none of this workspace.</p>`
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

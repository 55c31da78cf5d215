/** The first page for administrators: their workspaces, and the mirror's metrics. */
import { html } from "hono/html";
import {
  type AdministeredWorkspace,
  type AdminPage,
  countedRepositories,
  form,
  listedWords,
  modeCell,
} from "./admin-parts.ts";
import { metricCharts } from "./metric-charts.ts";
import { type Html, layout } from "./page-layout.ts";
import type { MeasuredHistory } from "./ports.ts";

export interface OverviewPage extends AdminPage {
  readonly workspaces: readonly AdministeredWorkspace[];
  readonly history: MeasuredHistory | undefined;
  readonly historyProblem?: string;
  /** Names of workspaces that the viewer administers at Bitbucket, and that are not mirrored. */
  readonly others: readonly string[];
  readonly canConnect: boolean;
  /** For the operator, with `<workspace>` in place of a name. */
  readonly connectCommand: string;
}

export function overviewPage(page: OverviewPage): Html {
  const { viewer, workspaces, history, historyProblem, nowMs } = page;
  return layout(
    "Administration – Nearside",
    viewer,
    html`<h1>Administration</h1>
<p>Workspaces of this mirror that you administer at Bitbucket.</p>
<ul class="workspaces">${workspaces.map(
      (
        one,
      ) => html`<li><a href="${viewer.basePath}/-/admin/${one.workspace.workspace}">${one.workspace.workspace}</a>
<span>${modeCell(one.workspace)}, ${countedRepositories(one.mirroredCount)}${one.failedCount > 0 ? `, ${one.failedCount} failed or not finished` : ""}${one.noAccess.length > 0 ? `, ${one.noAccess.length} without access` : ""}${one.announced.length > 0 ? `, ${one.announced.length} deleted and still served` : ""}, ${listedWords(one, nowMs)}</span></li>
`,
    )}</ul>
${connecting(page)}<section aria-labelledby="metrics-title"><h2 id="metrics-title">The whole mirror, over time</h2>
${
  history === undefined
    ? html`<p>${historyProblem ?? ""}</p>`
    : html`<p>The last ${Math.round((history.slotCount * history.slotMs) / 3_600_000)} hours, or since the mirror was started; all workspaces together.</p>
${metricCharts(history)}`
}
</section>`,
  );
}

/** Accounts are never entered here: the mirror reads them from where its operator keeps secrets. */
function connecting({ viewer, others, canConnect, connectCommand }: OverviewPage): Html | "" {
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
      : html`<li>${name}<br><code>${connectCommand.replaceAll("<workspace>", name)}</code></li>
`,
  )}</ul></section>
`;
}

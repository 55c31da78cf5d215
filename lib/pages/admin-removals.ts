/** Repositories that Bitbucket's lists lack, and what an administrator says of them. */
import { html } from "hono/html";
import { describeAge } from "../age.ts";
import { type AdministeredWorkspace, type AdminPage, form, type HiddenRepository } from "./admin-parts.ts";
import type { Html } from "./page-layout.ts";

export type RemovalsPage = AdminPage & AdministeredWorkspace;

interface Section {
  readonly id: string;
  readonly title: string;
  readonly text: Html;
}

/** Others come when those are confirmed, or are confirmed by the command. */
const SHOWN = 50;

export function removals(page: RemovalsPage): Html {
  const { credential } = page.workspace;
  const account =
    credential === undefined
      ? html`the workspace an account with`
      : html`the account <code>${credential}</code>`;
  return html`${section(page, page.announced, {
    id: "announced",
    title: "Deleted at Bitbucket, still served",
    text: html`Bitbucket announced that these were deleted. So many in a day can be a mistake: they are served until three lists over 24 hours lack them, or until you confirm it.`,
  })}${section(page, page.noAccess, {
    id: "removals",
    title: "Not shown by Bitbucket",
    text: html`Bitbucket does not list these for the mirror’s account: it lacks the right to read them, or they were deleted. Give ${account} the right, then sync the workspace.`,
  })}`;
}

function section(
  page: RemovalsPage,
  hidden: readonly HiddenRepository[],
  { id, title, text }: Section,
): Html | "" {
  if (hidden.length === 0) return "";
  const shown = hidden.slice(0, SHOWN);
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table>
<thead><tr><th scope="col">Repository</th><th scope="col">Since</th><th scope="col">Served</th></tr></thead>
<tbody>${shown.map((one) => row(page, one))}</tbody></table></div>
${hidden.length > SHOWN ? html`<p>… and ${hidden.length - SHOWN} more: confirm those shown first, or use <code>nearside reconcile --accept-removals ${page.workspace.workspace}</code>.</p>` : ""}`;
  return html`<section aria-labelledby="${id}-title"><h2 id="${id}-title">${title}: ${hidden.length}</h2>
<p>${text}</p>
${form(page, "accept", "Confirm: those ticked were deleted", table)}${allShown(page, shown)}</section>
`;
}

function row({ workspace: { workspace }, nowMs }: RemovalsPage, one: HiddenRepository): Html {
  const { slug, since, isServed } = one;
  return html`<tr><th scope="row"><label><input type="checkbox" name="repository" value="${slug}"> ${workspace}/${slug}</label></th>
<td>${describeAge(nowMs - Date.parse(since))} ago</td><td>${isServed ? "until three lists over 24 hours lack it" : "no"}</td></tr>
`;
}

/** By name: what Bitbucket stops listing after the page was shown is not confirmed with them. */
function allShown(page: RemovalsPage, shown: readonly HiddenRepository[]): Html | "" {
  if (shown.length < 2) return "";
  const fields = shown.map(({ slug }) => html`<input type="hidden" name="repository" value="${slug}">`);
  return form(page, "accept", `Confirm: all ${shown.length} were deleted`, html`${fields}`);
}

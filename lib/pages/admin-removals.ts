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

/** The others have no box: they are confirmed together, or by the command. */
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
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table>
<thead><tr><th scope="col">Repository</th><th scope="col">Since</th><th scope="col">Served</th></tr></thead>
<tbody>${hidden.slice(0, SHOWN).map((one) => row(page, one))}</tbody></table></div>
${hidden.length > SHOWN ? html`<p>… and ${hidden.length - SHOWN} more.</p>` : ""}`;
  return html`<section aria-labelledby="${id}-title"><h2 id="${id}-title">${title}: ${hidden.length}</h2>
<p>${text}</p>
${form(page, "accept", "Confirm: those ticked were deleted", table)}${all(page)}</section>
`;
}

function row({ workspace: { workspace }, nowMs }: RemovalsPage, one: HiddenRepository): Html {
  const { slug, since, isServed } = one;
  return html`<tr><th scope="row"><label><input type="checkbox" name="repository" value="${slug}"> ${workspace}/${slug}</label></th>
<td>${describeAge(nowMs - Date.parse(since))} ago</td><td>${isServed ? "until three lists over 24 hours lack it" : "no"}</td></tr>
`;
}

/** Of both lists: the mirror's own acceptance of a whole workspace knows no other. */
function all(page: RemovalsPage): Html | "" {
  const { announced, noAccess } = page;
  const count = announced.length + noAccess.length;
  if (count < 2) return "";
  const both = announced.length > 0 && noAccess.length > 0 ? ", of both lists," : "";
  const field = html`<input type="hidden" name="all" value="yes">`;
  return form(page, "accept", `Confirm: all ${count}${both} were deleted`, field);
}

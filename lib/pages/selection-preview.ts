/** What a changed selection would mirror, before anything is changed. */
import { html } from "hono/html";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import { selects } from "../mirror/selection.ts";
import { type AdminPage, selectionForm } from "./admin-pages.ts";
import { type Html, layout } from "./page-layout.ts";
import type { ListedRepository } from "./ports.ts";

export interface PreviewPage extends AdminPage {
  readonly before: MirroredWorkspace;
  /** With the form's selection; what is wrong with it otherwise. */
  readonly after: MirroredWorkspace | string;
  /** As the form was sent. */
  readonly fields: URLSearchParams;
  readonly listed: readonly ListedRepository[];
  /** Whether there are more. */
  readonly isCut: boolean;
}

const SHOWN = 200;

export function previewPage(page: PreviewPage): Html {
  const { viewer, before, after } = page;
  const { workspace: name } = before;
  return layout(
    `Selection of ${name} – Nearside`,
    viewer,
    html`<p class="path"><a href="${viewer.basePath}/-/admin">Administration</a> / <a href="${viewer.basePath}/-/admin/${name}">${name}</a></p>
<h1>Selection of ${name}</h1>
${typeof after === "string" ? html`<p class="note bad" role="alert" id="problem">${after}</p>` : outcome(page, after)}
<h2>Change it</h2>
${selectionForm(viewer, typeof after === "string" ? before : after)}`,
  );
}

function outcome({ before, fields, listed, isCut, viewer }: PreviewPage, after: MirroredWorkspace): Html {
  const { workspace } = before;
  const selectedBy = (one: MirroredWorkspace) =>
    new Set(
      listed.filter((repository) => selects(one, { ...repository, workspace })).map(({ slug }) => slug),
    );
  const [old, next] = [selectedBy(before), selectedBy(after)];
  return html`<p id="preview">${next.size} of ${isCut ? "the first " : ""}${listed.length} repositories that you see at Bitbucket would be mirrored. Nothing is changed yet.</p>
${names(
  "New",
  [...next].filter((slug) => !old.has(slug)),
)}
${names(
  "No longer served",
  [...old].filter((slug) => !next.has(slug)),
)}
<form class="action" method="post" action="${viewer.basePath}/-/admin/${workspace}/select">
${[...fields].map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`)}<button class="primary">Apply</button></form>`;
}

function names(title: string, slugs: readonly string[]): Html {
  if (slugs.length === 0) return html``;
  return html`<h2>${title}: ${slugs.length}</h2>
<ul class="names">${slugs.slice(0, SHOWN).map((slug) => html`<li>${slug}</li>`)}</ul>${slugs.length > SHOWN ? html`<p>… and ${slugs.length - SHOWN} more.</p>` : ""}`;
}

/** What a changed selection would mirror, before anything is changed. */
import { html } from "hono/html";
import { ConfigError, NotFoundError, UpstreamError } from "../errors.ts";
import type { HttpResponse } from "../http/message.ts";
import { connectedWorkspace, selectRepositories } from "../mirror/change-workspaces.ts";
import { checkMirrorConfig, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { selects } from "../mirror/selection.ts";
import type { AdminPage } from "./admin-parts.ts";
import { selectionOf } from "./admin-selection.ts";
import { message, pageOf, type Visit } from "./admin-visit.ts";
import { type Html, layout } from "./page-layout.ts";
import { htmlResponse } from "./page-response.ts";
import type { ListedRepository } from "./ports.ts";
import { selectionForm } from "./selection-form.ts";

interface PreviewPage extends AdminPage {
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
/** In 20 requests of the caller's own. */
const MAX_PREVIEWED = 2_000;

function previewPage(page: PreviewPage): Html {
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

/** Lists with the administrator's own credential: the mirror's account keeps its requests. */
export async function answerPreview(visit: Visit, before: MirroredWorkspace): Promise<HttpResponse> {
  const { request, context, caller } = visit;
  const listed: ListedRepository[] = [];
  let isCut = false;
  const list = context.listReadable(caller.rest ?? "", before.workspace);
  try {
    for await (const { uuid, slug, projectKey, isPrivate } of list) {
      isCut = listed.length === MAX_PREVIEWED;
      if (isCut) break;
      listed.push({ uuid, slug, projectKey, isPrivate });
    }
  } catch (error) {
    const refusal = refusalOf(error, before.workspace);
    if (refusal === undefined) throw error;
    return message(visit, 403, "No preview", refusal);
  }
  const after = await selectedBy(visit, before.workspace);
  const page = { ...pageOf(visit), before, after, fields: request.query, listed, isCut };
  return htmlResponse(request, typeof after === "string" ? 400 : 200, previewPage(page));
}

/** @returns Why Bitbucket lists no repositories to this credential; `undefined` where it could not be asked. */
function refusalOf(error: unknown, workspace: string): string | undefined {
  if (error instanceof NotFoundError) return `Bitbucket shows no workspace ${workspace} to your account.`;
  const status = error instanceof UpstreamError ? error.context["status"] : undefined;
  if (status !== 401 && status !== 403) return undefined;
  return "Bitbucket lists no repositories to your API token: it has been revoked, or lacks the scope read:repository:bitbucket. Make one with read:repository:bitbucket and read:workspace:bitbucket, and sign in with it.";
}

/** @returns What is wrong with the form, if anything is. */
async function selectedBy({ request, context }: Visit, workspace: string) {
  try {
    const changed = selectRepositories(await context.readConfig(), workspace, selectionOf(request.query));
    return connectedWorkspace(checkMirrorConfig(changed), workspace);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
}

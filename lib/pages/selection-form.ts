/** The form of a workspace's selection. */
import { html } from "hono/html";
import type { MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { Html, Viewer } from "./page-layout.ts";

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

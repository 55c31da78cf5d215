/** Further mirrors of a repository's workspace: in the order of the configuration, and nearest first where scripts run. */
import { html } from "hono/html";
import type { ApiRepository } from "./api-schemas.ts";
import { copyable, type Html } from "./page-layout.ts";

export function otherMirrors({ workspace, slug }: ApiRepository, urls: readonly string[]): Html | "" {
  if (urls.length === 0) return "";
  const path = `${encodeURIComponent(workspace)}/${encodeURIComponent(slug)}.git`;
  return html`<section aria-labelledby="mirrors-title">
<h2 id="mirrors-title">Other mirrors</h2>
<p>The same repository, nearer to others. Each has the same rights.</p>
<ul class="mirrors" id="mirrors">${urls.map(
    (
      url,
      index,
    ) => html`<li data-mirror="${url}"><h3>${new URL(url).host} <span class="tag" data-latency hidden></span></h3>
${copyable(`mirror-${index}`, `command to clone from ${new URL(url).host}`, `git clone ${url}/${path}`)}</li>
`,
  )}</ul></section>
`;
}

/** A repository's recent syncs: a bar for each, as high as it was long, and a table with the figures. */
import { html } from "hono/html";
import type { ApiRepository } from "./api-schemas.ts";
import type { Html } from "./page-layout.ts";
import { describeErrorCode } from "./repository-views.ts";
import { formatBytes } from "./words.ts";

type RecentSync = NonNullable<ApiRepository["recentSyncs"]>[number];

const BAR_WIDTH = 10;
const GAP = 4;
const HEIGHT = 48;
const MIN_BAR_HEIGHT = 4;
const TABLE_LENGTH = 8;

export function syncHistory({ recentSyncs = [] }: ApiRepository): Html {
  if (recentSyncs.length === 0) return html``;
  const latest = recentSyncs.toReversed().slice(0, TABLE_LENGTH);
  return html`<section aria-labelledby="history-title">
<h2 id="history-title">Recent syncs</h2>
${chart(recentSyncs)}
<div class="scroll" tabindex="0" role="region" aria-label="Table of recent syncs"><table>
<thead><tr><th scope="col">When</th><th scope="col">What changed</th><th scope="col" class="number">Received</th><th scope="col" class="number">Took</th></tr></thead>
<tbody>${latest.map(row)}</tbody></table></div>
</section>`;
}

/** The table has all of it, so that a reader of the screen hears one sentence. */
function chart(syncs: readonly RecentSync[]): Html {
  const longestMs = Math.max(1, ...syncs.map((sync) => (sync.kind === "published" ? sync.durationMs : 0)));
  const failedCount = syncs.filter(({ kind }) => kind === "failed").length;
  const width = syncs.length * (BAR_WIDTH + GAP);
  return html`<svg class="chart" role="img" width="${width}" height="${HEIGHT}" viewBox="0 0 ${width} ${HEIGHT}" aria-label="${syncs.length} syncs that changed something or failed, ${failedCount} of them failed; the longest took ${seconds(longestMs)}">
${syncs.map((sync, index) => bar(sync, index, longestMs))}</svg>`;
}

function bar(sync: RecentSync, index: number, longestMs: number): Html {
  // Logarithmic: a first sync takes a thousand times as long as a push.
  const part = sync.kind === "failed" ? 1 : Math.log1p(sync.durationMs) / Math.log1p(longestMs);
  const height = Math.max(MIN_BAR_HEIGHT, Math.round(part * HEIGHT));
  const x = index * (BAR_WIDTH + GAP);
  return html`<rect class="${sync.kind}" x="${x}" y="${HEIGHT - height}" width="${BAR_WIDTH}" height="${height}" rx="2"><title>${dateOf(sync)}: ${whatOf(sync)}</title></rect>`;
}

function row(sync: RecentSync): Html {
  const isPublished = sync.kind === "published";
  return html`<tr><th scope="row"><time datetime="${sync.at}">${dateOf(sync)}</time></th>
<td>${isPublished ? whatOf(sync) : html`<span class="state bad">${whatOf(sync)}</span>`}</td>
<td class="number">${isPublished ? formatBytes(sync.receivedBytes) : ""}</td>
<td class="number">${isPublished ? seconds(sync.durationMs) : ""}</td></tr>
`;
}

function whatOf(sync: RecentSync): string {
  if (sync.kind === "failed")
    return `Failed${sync.tries > 1 ? ` ${sync.tries} times` : ""}. ${describeErrorCode(sync.code)}`;
  const { changedRefs, objects } = sync;
  return `${changedRefs} ${changedRefs === 1 ? "ref" : "refs"}, ${objects} ${objects === 1 ? "object" : "objects"}`;
}

function dateOf({ at }: RecentSync): string {
  return `${at.slice(0, 16).replace("T", " ")} UTC`;
}

function seconds(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

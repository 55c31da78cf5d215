/** Differences and totals as text. */
import type { FetchCase } from "./fetch-case.ts";
import type { Difference } from "./run-seed.ts";
import type { Totals } from "./totals.ts";

/**
 * The first line says how to see it again.
 * @param options - As given on the command line.
 */
export function describeDifference(
  { seed, request, what, fetchCase }: Difference,
  { repo, requests }: { readonly repo?: string; readonly requests?: number } = {},
): string {
  const options = [
    ...(repo === undefined ? [] : [`--repo ${repo}`]),
    ...(requests === undefined ? [] : [`--requests ${requests}`]),
  ];
  return [
    ["replay: npm run differential -- --seed", seed, ...options].join(" "),
    ...what.map((text) => `  request ${request}: ${text}`),
    ...(fetchCase === undefined ? [] : [`  ${describeFetch(fetchCase)}`]),
  ].join("\n");
}

function describeFetch({ capabilities, deepening, ...rest }: FetchCase): string {
  return JSON.stringify({ ...rest, capabilities: [...capabilities].join(" "), deepening });
}

export function summarize(totals: Totals, startedMs: number): string {
  const seconds = (Date.now() - startedMs) / 1000;
  const ratio = (mirror: number, git: number): string => (mirror / Math.max(git, 1)).toFixed(3);
  return [
    `${totals.requests} requests (${(totals.requests / seconds).toFixed(1)}/s)`,
    `${totals.packs} packs, ${totals.recentPacks} of them from recent objects`,
    `${totals.compactions} compactions`,
    `objects ${ratio(totals.mirrorObjects, totals.gitObjects)} and bytes ${ratio(totals.mirrorBytes, totals.gitBytes)} of git's`,
  ].join(", ");
}

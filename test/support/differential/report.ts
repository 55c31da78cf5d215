/** Differences and totals as text. */
import type { Difference } from "./run-seed.ts";
import type { Totals } from "./totals.ts";

/** The first line says how to see it again. */
export function describeDifference({ seed, request, what, fetchCase }: Difference): string {
  const { capabilities, deepening, ...rest } = fetchCase;
  const shown = {
    ...rest,
    capabilities: [...capabilities].join(" "),
    ...(deepening === undefined ? {} : { deepening }),
  };
  return [
    `replay: npm run differential -- --seed ${seed}`,
    ...what.map((text) => `  request ${request}: ${text}`),
    `  ${JSON.stringify(shown)}`,
  ].join("\n");
}

export function summarize(totals: Totals, startedMs: number): string {
  const seconds = (Date.now() - startedMs) / 1000;
  const ratio = (mirror: number, git: number): string => (mirror / Math.max(git, 1)).toFixed(3);
  return [
    `${totals.requests} requests (${(totals.requests / seconds).toFixed(1)}/s)`,
    `${totals.packs} packs`,
    `objects ${ratio(totals.mirrorObjects, totals.gitObjects)} and bytes ${ratio(totals.mirrorBytes, totals.gitBytes)} of git's`,
  ].join(", ");
}

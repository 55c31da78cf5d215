/**
 * Two syncs of one repository, compaction and the janitor in every order that chance comes upon: refs never go back, no
 * generation is lost. `NEARSIDE_INTERLEAVINGS=1000` runs so many, `NEARSIDE_INTERLEAVING_SEED=17` only one again.
 */
import { expect, test } from "vitest";
import { type InterleavingReport, runInterleaving } from "../../support/interleaving/run-interleaving.ts";

const COUNT = Number(process.env["NEARSIDE_INTERLEAVINGS"] ?? 120);
const ONLY_SEED = process.env["NEARSIDE_INTERLEAVING_SEED"];

const seeds =
  ONLY_SEED === undefined ? Array.from({ length: COUNT }, (_, index) => index + 1) : [Number(ONLY_SEED)];

test(`${seeds.length} interleavings: each generation follows the one before, with the primary's refs of then or later`, {
  timeout: 1_200_000,
}, async () => {
  const failed: string[] = [];
  const reports: InterleavingReport[] = [];
  for (const seed of seeds) {
    try {
      reports.push(await runInterleaving(seed));
    } catch (error) {
      failed.push(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  expect(failed).toEqual([]);
  const sum = (count: (report: InterleavingReport) => number) =>
    reports.reduce((total, report) => total + count(report), 0);
  // Or it has tried nothing: races are what this is about.
  expect(sum(({ lostRaces }) => lostRaces)).toBeGreaterThan(seeds.length / 2);
  expect(sum(({ generations }) => generations)).toBeGreaterThan(seeds.length * 3);
});

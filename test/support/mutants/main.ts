/**
 * `npm run mutants -- [--sample <count>] [--seed <text>] [--test <file>]... <file, folder or file:from-to>...`: changes the
 * code in small ways, one after another, and runs the unit tests of its folder (or the given ones) against each. A change that no
 * test notices survives. Exits with 1 below 85 %.
 */
import { globSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import { SAMPLE_VARIABLE } from "./sample-checker.ts";
import { TESTS_VARIABLE } from "./vitest.config.ts";

const FOLDER = "test/support/mutants";
const REPORTS = "reports/mutants";
const LOWEST_SCORE_PERCENT = 85;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: "string" },
    seed: { type: "string", default: "" },
    test: { type: "string", multiple: true },
    concurrency: { type: "string", default: "2" },
  },
});
if (positionals.length === 0) throw new Error("name the files or folders to change");

const mutate = positionals.flatMap(sourcesAt);
// For the processes that Stryker starts.
process.env[TESTS_VARIABLE] = (values.test ?? [...new Set(mutate.flatMap(unitTestsOf))]).join(":");
const isSample = values.sample !== undefined;
if (isSample) process.env[SAMPLE_VARIABLE] = `${values.sample}:${values.seed}`;

await new Stryker({
  mutate,
  testRunner: "vitest",
  vitest: { configFile: `${FOLDER}/vitest.config.ts` },
  plugins: [
    import.meta.resolve("@stryker-mutator/vitest-runner"),
    import.meta.resolve("./sample-checker.ts"),
  ],
  checkers: isSample ? ["sample"] : [],
  concurrency: Number(values.concurrency),
  // Endless loops are found by counting, so this is for what waits.
  timeoutMS: 10_000,
  thresholds: { high: 100, low: LOWEST_SCORE_PERCENT, break: LOWEST_SCORE_PERCENT },
  incremental: !isSample,
  // One for each choice of files: results of others would count in the score.
  incrementalFile: `${REPORTS}/of-${positionals.join("-").replace(/[^\w.-]+/g, "-")}.json`,
  reporters: ["progress-append-only", "clear-text", "json"],
  jsonReporter: { fileName: `${REPORTS}/mutants.json` },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  tempDirName: `${REPORTS}/tmp`,
}).runMutationTest();

/** @param place - A folder, or a file, perhaps with a range of lines: `lib/age.ts:10-20`. */
function sourcesAt(place: string): string[] {
  const path = place.replace(/:\d.*$/, "");
  return statSync(path).isDirectory() ? globSync(join(path, "**/*.ts")) : [place];
}

/** The tests in the folder that mirrors the file's, or in the nearest one above that has any. */
function unitTestsOf(source: string): string[] {
  for (let folder = dirname(source); folder !== "."; folder = dirname(folder)) {
    const tests = globSync(join("test/unit", folder.replace(/^lib\/?/, ""), "*.test.ts"));
    if (tests.length > 0) return tests;
  }
  return [];
}

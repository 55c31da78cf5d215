/** What the bench prints, and what it writes as JSON. */
import type { Measurement, RowReport } from "./measurement.ts";
import type { LatencyReport, Row } from "./row.ts";

export interface BenchReport {
  /** Absent where no row needs one. */
  readonly repository?: { readonly objects: number; readonly packBytes: number; readonly refs: number };
  readonly storeLatencyMs: number;
  readonly runs: number;
  readonly rows: readonly (RowReport | LatencyReport)[];
}

const COLUMNS = [
  "row",
  "side",
  "wall s",
  "CPU s",
  "MB",
  "peak MB",
  "anonymous MB",
  "requests",
  "rounds",
  "store MB",
];
const MEGABYTE = 1e6;

export function isContestReport(row: RowReport | LatencyReport): row is RowReport {
  return "mirror" in row;
}

function isLatencyReport(row: RowReport | LatencyReport): row is LatencyReport {
  return !isContestReport(row);
}

export function formatTable({ repository, rows }: BenchReport): string {
  const contests = rows.filter(isContestReport);
  const latencies = rows.filter(isLatencyReport).map(latencyLine);
  if (contests.length === 0) return latencies.join("\n");
  const lines = [COLUMNS, ...contests.flatMap(linesOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const table = lines.map((line) =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return [...titleOf(repository), ...table, "", "ratio: mirror over git, of the medians", ...latencies].join(
    "\n",
  );
}

function titleOf(repository: BenchReport["repository"]): string[] {
  if (repository === undefined) return [];
  const { objects, packBytes, refs } = repository;
  return [`${objects} objects, ${megabytes(packBytes)} MB, ${refs} refs`, ""];
}

function latencyLine(row: LatencyReport): string {
  const { name, times, unit, p50Ms, p99Ms, withPrimary, besideMs, storeRequests } = row;
  const more = [
    withPrimary && `${ms(withPrimary.p50Ms)} and ${ms(withPrimary.p99Ms)} with the primary's own time`,
    besideMs !== undefined && `beyond ${ms(besideMs)} of bare Node`,
    storeRequests !== undefined && `${storeRequests.toFixed(1)} requests to the store each`,
  ].filter(Boolean);
  return `${name}: p50Ms ${ms(p50Ms)}, p99Ms ${ms(p99Ms)}, over ${times} ${unit} (${more.join(", ")})`;
}

function ms(value: number): string {
  return value.toFixed(1);
}

function linesOf(row: RowReport): string[][] {
  const sides: [string, Measurement | undefined][] = [
    ["mirror", row.mirror],
    ["mirror, slower", row.delayedMirror],
    ["mirror, cold", row.coldMirror],
    ["mirror, cold, slower", row.coldDelayedMirror],
    ["mirror, cold, +70 ms", row.coldFarMirror],
    ["git", row.git],
    ["git, no bitmaps", row.gitWithoutBitmaps],
  ];
  const lines = sides.flatMap(([side, measured]) =>
    measured === undefined ? [] : [["", side, ...figures(measured)]],
  );
  const ratios = [row.wallRatio, row.cpuRatio, row.bytesRatio, row.memoryRatio, row.anonymousRatio];
  lines.push(["", "ratio", ...ratios.map((ratio) => ratio.toFixed(3))]);
  if (row.bytesRatioWithoutBitmaps !== undefined)
    lines.push(["", "ratio, no bitmaps", "", "", row.bytesRatioWithoutBitmaps.toFixed(3)]);
  return lines.map((line, i) => (i === 0 ? [row.name, ...line.slice(1)] : line));
}

function figures(measured: Measurement): string[] {
  const { storeRequests, rounds, storeBytes } = measured;
  return [
    measured.wallSeconds.toFixed(3),
    measured.cpuSeconds.toFixed(3),
    (measured.bytes / MEGABYTE).toFixed(3),
    megabytes(measured.peakMemoryBytes),
    megabytes(measured.peakAnonymousBytes),
    storeRequests === undefined ? "" : String(storeRequests),
    rounds === undefined ? "" : String(rounds),
    storeBytes === undefined ? "" : (storeBytes / MEGABYTE).toFixed(2),
  ];
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(1);
}

/** @throws {Error} A row is missing, or a figure is not a number above 0. */
export function assertComplete({ rows }: BenchReport, expected: readonly Row[]): void {
  const names = rows.map(({ name }) => name);
  const expectedNames = expected.map(({ name }) => name);
  if (names.join() !== expectedNames.join()) throw new Error(`rows are ${names}, expected ${expectedNames}`);
  for (const { name, p50Ms, p99Ms } of rows.filter(isLatencyReport)) {
    if (!(p50Ms > 0 && p99Ms >= p50Ms)) throw new Error(`${name}: ${p50Ms} and ${p99Ms} ms cannot be`);
  }
  for (const { name, bytesRatioWithoutBitmaps = 1, ...row } of rows.filter(isContestReport)) {
    const ratios = [row.wallRatio, row.cpuRatio, row.bytesRatio, row.memoryRatio, row.anonymousRatio];
    if (![...ratios, bytesRatioWithoutBitmaps].every((ratio) => Number.isFinite(ratio) && ratio > 0)) {
      throw new Error(`${name}: a ratio is not a number above 0: ${ratios.join(", ")}`);
    }
  }
}

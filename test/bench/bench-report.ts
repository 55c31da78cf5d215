/** What the bench prints, and what it writes as JSON. */
import type { Measurement, RowReport } from "./measurement.ts";

export interface BenchReport {
  readonly repository: { readonly objects: number; readonly packBytes: number; readonly refs: number };
  readonly rows: readonly RowReport[];
}

const COLUMNS = ["row", "side", "wall s", "CPU s", "MB", "peak MB", "anonymous MB", "requests", "rounds"];
const MEGABYTE = 1e6;

export function formatTable({ repository, rows }: BenchReport): string {
  const { objects, packBytes, refs } = repository;
  const lines = [COLUMNS, ...rows.flatMap(linesOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const table = lines.map((line) =>
    line
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  const title = `${objects} objects, ${megabytes(packBytes)} MB, ${refs} refs`;
  return [title, "", ...table, "", "ratio: mirror over git, of the medians"].join("\n");
}

function linesOf(row: RowReport): string[][] {
  const ratios = [row.wallRatio, row.cpuRatio, row.bytesRatio, row.memoryRatio, row.anonymousRatio];
  return [
    [row.name, "mirror", ...figures(row.mirror)],
    ["", "git", ...figures(row.git)],
    ["", "ratio", ...ratios.map((ratio) => ratio.toFixed(3))],
  ];
}

function figures(measured: Measurement): string[] {
  return [
    measured.wallSeconds.toFixed(2),
    measured.cpuSeconds.toFixed(2),
    megabytes(measured.bytes),
    megabytes(measured.peakMemoryBytes),
    megabytes(measured.peakAnonymousBytes),
    String(measured.storeRequests ?? ""),
    String(measured.rounds ?? ""),
  ];
}

function megabytes(bytes: number): string {
  return (bytes / MEGABYTE).toFixed(1);
}

/** @throws {Error} A row is missing, or a ratio is not a number above 0. */
export function assertComplete({ rows }: BenchReport, expectedNames: readonly string[]): void {
  const names = rows.map(({ name }) => name);
  if (names.join() !== expectedNames.join()) throw new Error(`rows are ${names}, expected ${expectedNames}`);
  for (const { name, ...row } of rows) {
    const ratios = [row.wallRatio, row.cpuRatio, row.bytesRatio, row.memoryRatio, row.anonymousRatio];
    if (!ratios.every((ratio) => Number.isFinite(ratio) && ratio > 0)) {
      throw new Error(`${name}: a ratio is not a number above 0: ${ratios.join(", ")}`);
    }
  }
}

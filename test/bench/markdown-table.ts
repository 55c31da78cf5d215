/** The table of docs/performance.md from a report. */
import { type BenchReport, isContestReport } from "./bench-report.ts";
import type { Measurement, RowReport } from "./measurement.ts";
import type { Goals } from "./row.ts";
import { ROWS } from "./rows.ts";

const HEADER = [
  "row",
  "wall",
  "bytes",
  "CPU",
  "peak memory",
  "mirror / git",
  "store requests, rounds",
  "cold",
];

export function formatMarkdown({ rows, storeLatencyMs }: BenchReport): string {
  const header = [...HEADER, `+${storeLatencyMs} ms: warm, cold`];
  const lines = rows.filter(isContestReport).map((row) => cellsOf(row, goalsOf(row.name)));
  return [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function goalsOf(name: string): Goals | undefined {
  const goals = ROWS.find((row) => row.name === name)?.goals;
  return goals !== undefined && "wall" in goals ? goals : undefined;
}

function cellsOf(row: RowReport, goals: Goals | undefined): string[] {
  const { mirror, git, coldMirror, delayedMirror, coldDelayedMirror } = row;
  const withoutBitmaps = row.bytesRatioWithoutBitmaps;
  const bytes = [against(row.bytesRatio, goals?.bytes)];
  if (goals?.bytesWithoutBitmaps !== undefined && withoutBitmaps !== undefined)
    bytes.push(`${against(withoutBitmaps, goals.bytesWithoutBitmaps)} without bitmaps`);
  return [
    `\`${row.name}\``,
    against(row.wallRatio, goals?.wall),
    bytes.join("; "),
    isMeasurable(row) ? against(row.cpuRatio, goals?.cpu) : "",
    against(row.memoryRatio, goals?.memory),
    `${seconds(mirror)} / ${seconds(git)}, ${size(mirror)} / ${size(git)}`,
    store(mirror),
    coldMirror === undefined ? "" : `${seconds(coldMirror)}; ${store(coldMirror)}`,
    [delayedMirror, coldDelayedMirror].flatMap((run) => (run === undefined ? [] : [seconds(run)])).join(", "),
  ];
}

/** CPU time is measured in steps of 10 ms for each of several processes: of less than that together it says nothing. */
function isMeasurable({ git, setup }: RowReport): boolean {
  return git.cpuSeconds * Number(setup["repeats"] ?? 1) >= MIN_CPU_SECONDS;
}

const MIN_CPU_SECONDS = 0.2;

/** A ratio with its goal, in bold where it is missed. */
function against(ratio: number, goal: number | undefined): string {
  const text = ratio.toFixed(ratio < 0.1 ? 3 : 2);
  if (goal === undefined) return text;
  return ratio <= goal ? `${text} (≤ ${goal})` : `**${text}** (≤ ${goal})`;
}

function seconds({ wallSeconds }: Measurement): string {
  return wallSeconds < 1
    ? `${(wallSeconds * 1000).toFixed(wallSeconds < 0.1 ? 1 : 0)} ms`
    : `${wallSeconds.toFixed(1)} s`;
}

function size({ bytes }: Measurement): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function store({ storeRequests, rounds }: Measurement): string {
  return storeRequests === undefined ? "" : `${tenths(storeRequests)}, ${tenths(rounds ?? 0)}`;
}

/** Medians are of runs that do the same several times. */
function tenths(count: number): string {
  return String(Math.round(count * 10) / 10);
}

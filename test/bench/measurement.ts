/** What is measured on each side of a row, and how several runs become one figure. */
import type { Workspace } from "./workspace.ts";

export interface Measurement {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** What the work produced. */
  readonly bytes: number;
  readonly peakMemoryBytes: number;
  readonly peakAnonymousBytes: number;
  /** The mirror's requests to its store, and the longest chain of them that had to wait for each other. */
  readonly storeRequests?: number;
  readonly rounds?: number;
}

/** The same work done by both. */
export interface Contest {
  mirror(): Promise<Measurement>;
  git(): Promise<Measurement>;
  /** Called once, after each side has run. @throws {Error} What a side produced is wrong. */
  verify(): Promise<void>;
  close(): Promise<void>;
  /** How it was set up, for the report. */
  readonly setup?: Readonly<Record<string, string>>;
}

export interface RowReport {
  readonly name: string;
  /** Mirror over git; below 1 the mirror is better. */
  readonly wallRatio: number;
  readonly cpuRatio: number;
  readonly bytesRatio: number;
  readonly memoryRatio: number;
  readonly anonymousRatio: number;
  readonly mirror: Measurement;
  readonly git: Measurement;
  readonly [setup: string]: unknown;
}

export interface RunOptions {
  readonly runs: number;
  /** Runs before them, which don't count. */
  readonly warmUpRuns: number;
}

/** Runs both sides in turns, so that what changes on the machine meanwhile meets both. */
export async function runContest(
  name: string,
  contest: Contest,
  { runs, warmUpRuns }: RunOptions,
  workspace: Workspace,
): Promise<RowReport> {
  const mirror: Measurement[] = [];
  const git: Measurement[] = [];
  for (let run = 1 - warmUpRuns; run <= runs; run++) {
    const runName = run < 1 ? "warm-up" : `run ${run} of ${runs}`;
    const ofMirror = await contest.mirror();
    workspace.progress(`${name}: mirror, ${runName}: ${ofMirror.wallSeconds.toFixed(2)} s`);
    const ofGit = await contest.git();
    workspace.progress(`${name}: git, ${runName}: ${ofGit.wallSeconds.toFixed(2)} s`);
    if (run === 1 - warmUpRuns) {
      workspace.progress(`${name}: checking what both have made`);
      await contest.verify();
    }
    if (run < 1) continue;
    mirror.push(ofMirror);
    git.push(ofGit);
  }
  return { ...report(name, medians(mirror), medians(git)), ...contest.setup };
}

function report(name: string, mirror: Measurement, git: Measurement): RowReport {
  return {
    name,
    wallRatio: mirror.wallSeconds / git.wallSeconds,
    cpuRatio: mirror.cpuSeconds / git.cpuSeconds,
    bytesRatio: mirror.bytes / git.bytes,
    memoryRatio: mirror.peakMemoryBytes / git.peakMemoryBytes,
    anonymousRatio: mirror.peakAnonymousBytes / git.peakAnonymousBytes,
    mirror,
    git,
  };
}

/** Each figure's own median. */
function medians(runs: readonly Measurement[]): Measurement {
  const of = (figure: (run: Measurement) => number): number => median(runs.map(figure));
  const storeRequests = of((run) => run.storeRequests ?? Number.NaN);
  const rounds = of((run) => run.rounds ?? Number.NaN);
  return {
    wallSeconds: of((run) => run.wallSeconds),
    cpuSeconds: of((run) => run.cpuSeconds),
    bytes: of((run) => run.bytes),
    peakMemoryBytes: of((run) => run.peakMemoryBytes),
    peakAnonymousBytes: of((run) => run.peakAnonymousBytes),
    ...(Number.isNaN(storeRequests) ? {} : { storeRequests }),
    ...(Number.isNaN(rounds) ? {} : { rounds }),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return (lower + upper) / 2;
}

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
  /** What the mirror read from its store. */
  readonly storeBytes?: number;
}

/** The same work done by both. */
export interface Contest {
  /** The mirror's first work ever in this process: called once, before all else. */
  coldMirror?(): Promise<Measurement>;
  coldDelayedMirror?(): Promise<Measurement>;
  /** The same over a store that is far away. */
  coldFarMirror?(): Promise<Measurement>;
  mirror(): Promise<Measurement>;
  /** The mirror, whose store takes longer for each request. */
  delayedMirror?(): Promise<Measurement>;
  git(): Promise<Measurement>;
  /** Of this its bytes count only. */
  gitWithoutBitmaps?(): Promise<Measurement>;
  /** Called once, after each side has run. @throws {Error} What a side produced is wrong. */
  verify(): Promise<void>;
  close(): Promise<void>;
  /** For the report. */
  readonly setup?: Setup;
}

export interface RowReport {
  readonly name: string;
  /** Mirror over git; below 1 the mirror is better. */
  readonly wallRatio: number;
  readonly cpuRatio: number;
  readonly bytesRatio: number;
  readonly memoryRatio: number;
  readonly anonymousRatio: number;
  readonly bytesRatioWithoutBitmaps?: number;
  readonly mirror: Measurement;
  readonly git: Measurement;
  /** One run. */
  readonly gitWithoutBitmaps?: Measurement;
  readonly delayedMirror?: Measurement;
  /** Of a process that has just started: one run only. */
  readonly coldMirror?: Measurement;
  readonly coldDelayedMirror?: Measurement;
  readonly coldFarMirror?: Measurement;
  readonly setup: Setup;
}

/** How a contest was set up. */
export type Setup = Readonly<Record<string, string | number>>;

export interface RunOptions {
  readonly runs: number;
  /** Runs before them, which don't count. */
  readonly warmUpRuns: number;
}

/** Runs all sides in turns, so that what changes on the machine meanwhile meets each of them. */
export async function runContest(
  name: string,
  contest: Contest,
  { runs, warmUpRuns }: RunOptions,
  workspace: Workspace,
): Promise<RowReport> {
  const mirror: Measurement[] = [];
  const delayedMirror: Measurement[] = [];
  const git: Measurement[] = [];
  let gitWithoutBitmaps: Measurement | undefined;
  const coldMirror = await contest.coldMirror?.();
  const coldDelayedMirror = await contest.coldDelayedMirror?.();
  const coldFarMirror = await contest.coldFarMirror?.();
  for (let run = 1 - warmUpRuns; run <= runs; run++) {
    const measure = async (side: string, measured: () => Promise<Measurement>): Promise<Measurement> => {
      const measurement = await measured();
      const runName = run < 1 ? "warm-up" : `run ${run} of ${runs}`;
      workspace.progress(`${name}: ${side}, ${runName}: ${measurement.wallSeconds.toFixed(3)} s`);
      return measurement;
    };
    mirror.push(await measure("mirror", () => contest.mirror()));
    git.push(await measure("git", () => contest.git()));
    if (contest.delayedMirror !== undefined)
      delayedMirror.push(await measure("mirror, slower store", contest.delayedMirror));
    if (run > 1 - warmUpRuns) continue;
    if (contest.gitWithoutBitmaps !== undefined)
      gitWithoutBitmaps = await measure("git without bitmaps", contest.gitWithoutBitmaps);
    workspace.progress(`${name}: checking what both have made`);
    await contest.verify();
  }
  return {
    ...report(name, mirror.slice(warmUpRuns), git.slice(warmUpRuns), gitWithoutBitmaps),
    ...(delayedMirror.length > 0 && { delayedMirror: medians(delayedMirror.slice(warmUpRuns)) }),
    ...(coldMirror !== undefined && { coldMirror }),
    ...(coldDelayedMirror !== undefined && { coldDelayedMirror }),
    ...(coldFarMirror !== undefined && { coldFarMirror }),
    setup: contest.setup ?? {},
  };
}

function report(
  name: string,
  mirrorRuns: readonly Measurement[],
  gitRuns: readonly Measurement[],
  gitWithoutBitmaps: Measurement | undefined,
): RowReport {
  const [mirror, git] = [medians(mirrorRuns), medians(gitRuns)];
  return {
    name,
    wallRatio: mirror.wallSeconds / git.wallSeconds,
    cpuRatio: mirror.cpuSeconds / git.cpuSeconds,
    bytesRatio: mirror.bytes / git.bytes,
    memoryRatio: mirror.peakMemoryBytes / git.peakMemoryBytes,
    anonymousRatio: mirror.peakAnonymousBytes / git.peakAnonymousBytes,
    mirror,
    git,
    ...(gitWithoutBitmaps !== undefined && {
      gitWithoutBitmaps,
      bytesRatioWithoutBitmaps: mirror.bytes / gitWithoutBitmaps.bytes,
    }),
    setup: {},
  };
}

/** Each figure's own median. */
function medians(runs: readonly Measurement[]): Measurement {
  const of = (figure: (run: Measurement) => number): number => median(runs.map(figure));
  const storeRequests = of((run) => run.storeRequests ?? Number.NaN);
  const rounds = of((run) => run.rounds ?? Number.NaN);
  const storeBytes = of((run) => run.storeBytes ?? Number.NaN);
  return {
    wallSeconds: of((run) => run.wallSeconds),
    cpuSeconds: of((run) => run.cpuSeconds),
    bytes: of((run) => run.bytes),
    peakMemoryBytes: of((run) => run.peakMemoryBytes),
    peakAnonymousBytes: of((run) => run.peakAnonymousBytes),
    ...(Number.isNaN(storeRequests) ? {} : { storeRequests }),
    ...(Number.isNaN(rounds) ? {} : { rounds }),
    ...(Number.isNaN(storeBytes) ? {} : { storeBytes }),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const lower = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** A line of the bench. */
import type { Contest, RowReport, RunOptions } from "./measurement.ts";
import type { Preparations } from "./preparations.ts";
import type { Workspace } from "./workspace.ts";

/** Upper bounds of ratios, mirror over git. */
export interface Goals {
  readonly wall: number;
  readonly cpu?: number;
  readonly memory?: number;
  readonly bytes?: number;
  /** Of git without bitmaps; the others are of git with them. */
  readonly bytesWithoutBitmaps?: number;
}

export type Row = ContestRow | StandaloneRow;

/** Brings its own material, and is measured against something other than git, or by itself. */
interface StandaloneRow {
  readonly name: string;
  /** Upper bounds. */
  readonly goals: Goals | { readonly p50Ms: number; readonly p99Ms: number };
  measure(workspace: Workspace, run: StandaloneRun): Promise<RowReport | LatencyReport>;
}

export interface StandaloneRun {
  /** With little of everything. */
  readonly isSmoke: boolean;
  readonly runs: RunOptions;
}

export interface LatencyReport {
  readonly name: string;
  /** How often it was measured, and what. */
  readonly times: number;
  readonly unit: "pushes" | "batches" | "starts";
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The same with what the primary took. */
  readonly withPrimary?: { readonly p50Ms: number; readonly p99Ms: number };
  /** The median of what is subtracted from each: of a process that does nothing. */
  readonly besideMs?: number;
  /** Of each. */
  readonly storeRequests?: number;
}

export function isContestRow(row: Row): row is ContestRow {
  return "open" in row;
}

export interface ContestRow {
  readonly name: string;
  readonly goals: Goals;
  /** Needs nginx and fcgiwrap. */
  readonly isServed: boolean;
  open(preparations: Preparations): Promise<Contest>;
}

/** A line of the bench. */
import type { Contest } from "./measurement.ts";
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

export type Row = ContestRow | LatencyRow;

/** Is measured by itself, and not against git. */
interface LatencyRow {
  readonly name: string;
  /** Upper bounds. */
  readonly goals: { readonly p50Ms: number; readonly p99Ms: number };
  readonly pushes: number;
  measure(workspace: Workspace, pushes: number): Promise<LatencyReport>;
}

export interface LatencyReport {
  readonly name: string;
  readonly pushes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The same with what the primary took. */
  readonly withPrimary: { readonly p50Ms: number; readonly p99Ms: number };
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

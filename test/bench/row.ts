/** A line of the bench. */
import type { Contest } from "./measurement.ts";
import type { Preparations } from "./preparations.ts";

/** Upper bounds of ratios, mirror over git. */
export interface Goals {
  readonly wall: number;
  readonly cpu?: number;
  readonly memory?: number;
  readonly bytes?: number;
  /** Of git without bitmaps; the others are of git with them. */
  readonly bytesWithoutBitmaps?: number;
}

export interface Row {
  readonly name: string;
  readonly goals: Goals;
  /** Needs nginx and fcgiwrap. */
  readonly isServed: boolean;
  open(preparations: Preparations): Promise<Contest>;
}

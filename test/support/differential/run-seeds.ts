/** Many seeds, a few at a time: while one waits for git, another computes. */
import { join } from "node:path";
import { inspect } from "node:util";
import { type Difference, runSeed, type SeedOptions } from "./run-seed.ts";
import { newTotals, type Totals } from "./totals.ts";

export interface SeedsOptions {
  /** What a seed does; by default it makes a repository. */
  readonly run?: (seed: number, options: SeedOptions) => Promise<Difference[]>;
  readonly seeds: Iterable<number>;
  readonly requestsAfterPush?: number;
  /** For the repositories; those of seeds without a difference are removed. */
  readonly folder: string;
  /** Called after each seed. @returns Whether to go on. */
  readonly onSeed?: (progress: SeedsProgress, found: readonly Difference[]) => boolean;
}

export interface SeedsProgress {
  seedCount: number;
  readonly totals: Totals;
  readonly differences: Difference[];
}

const SEEDS_AT_ONCE = 3;

export async function runSeeds({
  run = runSeed,
  seeds,
  requestsAfterPush,
  folder,
  onSeed,
}: SeedsOptions): Promise<SeedsProgress> {
  const progress: SeedsProgress = { seedCount: 0, totals: newTotals(), differences: [] };
  const iterator = seeds[Symbol.iterator]();
  let goesOn = true;
  const runSome = async (): Promise<void> => {
    for (let step = iterator.next(); goesOn && !step.done; step = iterator.next()) {
      const seed = step.value;
      const options = {
        folder: join(folder, String(seed)),
        totals: progress.totals,
        ...(requestsAfterPush === undefined ? {} : { requestsAfterPush }),
      };
      const found = await run(seed, options).catch((error: unknown) => [
        { seed, request: -1, what: [inspect(error)] },
      ]);
      progress.seedCount += 1;
      progress.differences.push(...found);
      goesOn = onSeed?.(progress, found) ?? true;
    }
  };
  await Promise.all(Array.from({ length: SEEDS_AT_ONCE }, runSome));
  return progress;
}

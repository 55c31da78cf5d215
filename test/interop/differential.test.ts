/** The mirror's answers against git's, for random repositories, pushes and requests. More: `npm run differential`. */
import { expect, test } from "vitest";
import { describeDifference } from "../support/differential/report.ts";
import { runSeeds } from "../support/differential/run-seeds.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";

const SEEDS = Array.from({ length: 60 }, (_, i) => i + 1);

/** The others run at the same time, on few processors. */
const TIMEOUT_MS = 300_000;

test(
  "clients end up the same as with git, and are sent hardly more",
  async () => {
    await using folder = await temporaryFolder();
    const { totals, differences } = await runSeeds({ seeds: SEEDS, folder: folder.path });
    expect(differences.map((difference) => describeDifference(difference))).toEqual([]);
    expect(totals.compactions).toBeGreaterThan(SEEDS.length / 2);
    expect(totals.packs).toBeGreaterThan(SEEDS.length * 5);
    expect(totals.recentPacks).toBeGreaterThan(10);
    // Random histories revert far more than people do, and a revert is what the mirror sends again.
    expect(totals.mirrorObjects / totals.gitObjects).toBeLessThan(1.25);
  },
  TIMEOUT_MS,
);

/** The mirror's answers against git's, for random repositories, pushes and requests. More: `npm run differential`. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeDifference } from "../support/differential/report.ts";
import { newTotals, runSeed } from "../support/differential/run-seed.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";

const SEEDS = Array.from({ length: 60 }, (_, i) => i + 1);

test("clients end up the same as with git, and are sent hardly more", async () => {
  await using folder = await temporaryFolder();
  const totals = newTotals();
  const differences: string[] = [];
  for (const seed of SEEDS) {
    const found = await runSeed(seed, { folder: join(folder.path, String(seed)), totals });
    differences.push(...found.map(describeDifference));
  }
  expect(differences).toEqual([]);
  expect(totals.packs).toBeGreaterThan(SEEDS.length * 10);
  // Random histories revert far more than people do, and a revert is what the mirror sends again.
  expect(totals.mirrorObjects / totals.gitObjects).toBeLessThan(1.25);
});

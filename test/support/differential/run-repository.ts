/** Random requests on a repository of the real world, which a mirror has taken in three syncs. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { GitShell } from "./git-shell.ts";
import { clocksLie, closure } from "./graph-walk.ts";
import { testListings } from "./listing-test.ts";
import { Random } from "./random.ts";
import { type RequestSubject, randomFetch } from "./random-request.ts";
import { openRealPrimary } from "./real-primary.ts";
import { RequestTester } from "./request-tester.ts";
import type { Difference, SeedOptions } from "./run-seed.ts";
import { readOffer } from "./server-offer.ts";
import { TestedMirror } from "./tested-mirror.ts";

const REQUESTS_PER_SEED = 10;

/** @returns What runs one seed's requests. */
export async function prepareRepository(
  original: string,
  folder: string,
): Promise<(seed: number, options: SeedOptions) => Promise<Difference[]>> {
  const { repository, graph, commitIds, refLists } = await openRealPrimary(
    original,
    join(folder, "primary.git"),
  );
  await using syncShell = new GitShell(folder);
  const mirror = new TestedMirror(syncShell, repository, new Random(0));
  for (const refList of refLists) await mirror.sync(refList);
  const refList = refLists.at(-1) ?? { head: { ref: "refs/heads/main" }, refs: [] };
  const commits = commitIds.map((id) => graph.numberOf(id));
  const subject: RequestSubject = {
    graph,
    refList,
    commitIds,
    reachable: closure(graph, [...commits, ...refList.refs.map(({ id }) => graph.numberOf(id))]),
    clocksLie: clocksLie(graph, commits),
    offer: await readOffer(mirror),
  };
  return async (seed, { folder: seedFolder, totals }) => {
    await mkdir(seedFolder);
    await using shell = new GitShell(seedFolder);
    const tester = new RequestTester({ shell, repository, mirror, folder: seedFolder, totals });
    const differences: Difference[] = [];
    const listed = await testListings(new Random(seed, -1), subject, { shell, repository, mirror });
    if (listed.length > 0) differences.push({ seed, request: 0, what: listed });
    for (let request = 1; request <= REQUESTS_PER_SEED; request++) {
      const fetchCase = randomFetch(new Random(seed, request), subject);
      const what = await tester.test(fetchCase, subject);
      if (what.length > 0) differences.push({ seed, request, what, fetchCase });
    }
    await rm(seedFolder, { recursive: true });
    return differences;
  };
}

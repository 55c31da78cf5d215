/** One seed: a primary that is pushed to, a mirror that follows it, and requests to both after each push. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { FetchCase } from "./fetch-case.ts";
import { GitShell } from "./git-shell.ts";
import { clocksLie, closure } from "./graph-walk.ts";
import { testListings } from "./listing-test.ts";
import { Random } from "./random.ts";
import { makeBareRepository, RandomPrimary } from "./random-pushes.ts";
import { randomFetch } from "./random-request.ts";
import { RequestTester } from "./request-tester.ts";
import { readOffer } from "./server-offer.ts";
import { TestedMirror } from "./tested-mirror.ts";
import type { Totals } from "./totals.ts";

export interface Difference {
  readonly seed: number;
  readonly request: number;
  readonly what: readonly string[];
  /** Absent when it was a request for something else. */
  readonly fetchCase?: FetchCase;
}

export interface SeedOptions {
  /** A folder to be made; removed unless something differs. */
  readonly folder: string;
  readonly totals: Totals;
  /** As often after the last push by `REQUESTS_AT_END_FACTOR`. */
  readonly requestsAfterPush?: number;
}

/** Of random numbers: far from those of requests and listings, which are counted from 0 up and down. */
const SHARING_STREAM = 1_000_000;
export const REQUESTS_AFTER_PUSH = 2;
const REQUESTS_AT_END_FACTOR = 4;
/** Above the numbers of requests. */
const COMPACTION_STREAM = 1_000_000;

export async function runSeed(seed: number, options: SeedOptions): Promise<Difference[]> {
  const { folder, totals, requestsAfterPush = REQUESTS_AFTER_PUSH } = options;
  const random = new Random(seed);
  const repository = join(folder, "primary.git");
  await makeBareRepository(repository);
  await using shell = new GitShell(folder);
  const primary = new RandomPrimary(random, shell, repository);
  const mirror = new TestedMirror(shell, repository, new Random(seed, SHARING_STREAM));
  const tester = new RequestTester({ shell, repository, mirror, folder, totals });
  const commitCount = random.pick([5, 10, 20, 40, 80, 300]);
  const pushCount = random.between(1, 8);
  const differences: Difference[] = [];
  let requestCount = 0;
  for (let push = 1; push <= pushCount; push++) {
    await primary.push(Math.ceil((commitCount / pushCount) * random.pick([0.1, 1, 2])));
    const { graph, refList, commitIds } = primary;
    await mirror.sync(refList);
    const compaction = await mirror.compact(new Random(seed, COMPACTION_STREAM + push));
    if (compaction === "compacted") totals.compactions += 1;
    const subject = {
      graph,
      refList,
      commitIds,
      reachable: reachableFrom(primary),
      clocksLie: clocksLie(
        graph,
        commitIds.map((id) => graph.numberOf(id)),
      ),
      offer: await readOffer(mirror),
    };
    const listingDifferences = await testListings(new Random(seed, -push), subject, {
      shell,
      repository,
      mirror,
    });
    if (listingDifferences.length > 0)
      differences.push({ seed, request: requestCount, what: listingDifferences });
    totals.requests += 1;
    const until = requestCount + requestsAfterPush * (push === pushCount ? REQUESTS_AT_END_FACTOR : 1);
    for (; requestCount < until; requestCount++) {
      const fetchCase = randomFetch(new Random(seed, requestCount + 1), subject);
      const what = await tester.test(fetchCase, subject);
      if (what.length > 0) differences.push({ seed, request: requestCount, what, fetchCase });
    }
  }
  if (differences.length === 0) await rm(folder, { recursive: true, force: true });
  return differences;
}

function reachableFrom({ graph, refList: { head, refs } }: RandomPrimary): Set<number> {
  const ids = refs.map(({ id }) => id);
  if ("id" in head) ids.push(head.id);
  return closure(
    graph,
    ids.map((id) => graph.numberOf(id)),
  );
}

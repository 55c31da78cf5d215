/** Events that say of many repositories at once that they are deleted: as with lists, only a few are believed. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { acceptRemovals, readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";

const SLUGS = Array.from({ length: 8 }, (_, index) => `r${index}`);

let clocked: ClockedRig;
beforeAll(async () => {
  clocked = await ClockedRig.start(...SLUGS);
});
afterAll(() => clocked.rig.close());

async function notServed(): Promise<string[]> {
  const served = await Promise.all(SLUGS.map((slug) => clocked.rig.state(`acme/${slug}`)));
  return SLUGS.filter((_, index) => served[index]?.state !== "AVAILABLE");
}

test("five are withdrawn at once, the others are served until the operator accepts", async () => {
  await clocked.reconcile("list");
  await clocked.runJobs();
  expect(await notServed()).toEqual([]);
  for (const slug of SLUGS.slice(0, 7)) {
    clocked.queue(await clocked.jobFor(slug, "gone"));
    await clocked.rig.fake.lifecycle.remove({ workspace: "acme", slug });
  }
  await clocked.runJobs();
  expect(await notServed()).toEqual(SLUGS.slice(0, 5));
  clocked.nowMs += 20 * MINUTE_MS;
  await clocked.reconcile();
  await clocked.runJobs();
  expect((await readWorkspaceIndex(clocked.rig.store, "acme")).value?.removalsHeld?.count).toBe(7);
  expect(await notServed()).toEqual(SLUGS.slice(0, 5));
  await acceptRemovals(clocked.rig.store, "acme", new Date(clocked.nowMs));
  clocked.nowMs += 20 * MINUTE_MS;
  await clocked.reconcile();
  await clocked.runJobs();
  expect(await notServed()).toEqual(SLUGS.slice(0, 7));
});

/** A first sync whose process is killed: no failure is recorded, and the queue has given up after five tries. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";

let clocked: ClockedRig;
beforeAll(async () => {
  clocked = await ClockedRig.start("app");
});
afterAll(() => clocked.rig.close());

/** Runs a job up to where it asks git for refs, which does not answer any more. */
async function killed(): Promise<void> {
  const [queued] = clocked.queued.splice(0);
  if (queued === undefined) throw new Error("no job");
  const asks = new Promise<void>((resolve) => {
    const primaryOf: typeof clocked.options.primaryOf = async (workspace) => {
      const primary = await clocked.options.primaryOf(workspace);
      const listRefs = () => {
        resolve();
        return new Promise<never>(() => undefined);
      };
      return { ...primary, upstreamOf: (...asked) => ({ ...primary.upstreamOf(...asked), listRefs }) };
    };
    void runRepositoryJob(queued.job, { ...clocked.options, primaryOf });
  });
  await asks;
}

test("the next rounds find it within the hour, and once it is done leave it alone", async () => {
  await clocked.reconcile();
  expect(clocked.queued).toMatchObject([{ job: { reason: "new" } }]);
  await killed();
  clocked.nowMs += 10 * MINUTE_MS;
  await clocked.reconcile();
  expect(clocked.queued).toEqual([]);
  clocked.nowMs += 31 * MINUTE_MS;
  await clocked.reconcile();
  expect(clocked.queued).toMatchObject([{ job: { reason: "failed" } }]);
  await clocked.runJobs();
  expect(await clocked.rig.serves("acme/app")).toBe("equal");
  clocked.nowMs += 62 * MINUTE_MS;
  await clocked.reconcile();
  expect(clocked.queued).toEqual([]);
});

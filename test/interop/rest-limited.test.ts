/** Ten minutes in which Bitbucket's REST API wants to be left alone, by a clock of the test's own; git goes on. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";

const PUSHED = ["one", "two", "three"] as const;

let clocked: ClockedRig;
beforeAll(async () => {
  clocked = await ClockedRig.start(...PUSHED, "old", "deleted");
});
afterAll(() => clocked.rig.close());

/** Statuses of what was answered by REST. */
function restAnswers(): (number | undefined)[] {
  return clocked.rig.fake.controls.requests
    .filter(({ surface }) => surface === "rest")
    .map(({ status }) => status);
}

test("pushes are followed by git alone; what REST reports is found when its time has come, in few requests", async () => {
  await clocked.reconcile();
  expect(await clocked.runJobs()).toBe(0);
  for (const slug of [...PUSHED, "old", "deleted"])
    expect(await clocked.rig.serves(`acme/${slug}`)).toBe("equal");

  clocked.rig.fake.controls.misbehave({ rateLimitedForSeconds: 600, appliesTo: "rest" });
  clocked.rig.fake.controls.clearRequests();
  const startMs = clocked.nowMs;
  clocked.nowMs += MINUTE_MS;
  await clocked.rig.fake.lifecycle.rename({ workspace: "acme", slug: "old" }, "renamed");
  await clocked.rig.create("acme", "new", "CORE");
  clocked.queue(await clocked.jobFor("deleted", "gone"));
  await clocked.rig.fake.lifecycle.remove({ workspace: "acme", slug: "deleted" });
  for (; clocked.nowMs - startMs < 10 * MINUTE_MS; clocked.nowMs += MINUTE_MS) {
    const slug = PUSHED[Math.round(clocked.nowMs / MINUTE_MS) % PUSHED.length] ?? "one";
    await clocked.rig.commit("acme", slug);
    clocked.queue(await clocked.jobFor(slug, "push"));
    if (Math.round((clocked.nowMs - startMs) / MINUTE_MS) % 5 === 1) await clocked.reconcile();
    // Only what REST has to be asked about waits.
    expect(await clocked.runJobs()).toBe(1);
    expect(await clocked.rig.serves(`acme/${slug}`)).toBe("equal");
  }
  // Of reconcile, and of the first sync: each asks once, gets a Retry-After, and waits.
  const answers = restAnswers();
  expect(new Set(answers)).toEqual(new Set([429]));
  expect(answers.length).toBe(2);
  expect(await clocked.rig.serves("acme/new")).toBe("not served");

  clocked.rig.fake.controls.behave();
  clocked.rig.fake.controls.clearRequests();
  clocked.nowMs = startMs + 11 * MINUTE_MS;
  await clocked.reconcile();
  expect(await clocked.runJobs()).toBe(0);
  for (const slug of [...PUSHED, "renamed", "new"])
    expect(await clocked.rig.serves(`acme/${slug}`)).toBe("equal");
  expect(await clocked.rig.serves("acme/old", "acme/renamed")).toBe("equal");
  expect(await clocked.rig.serves("acme/deleted")).toBe("not served");
  expect(restAnswers().length).toBeLessThanOrEqual(6);
});

/** The mirror's account loses its rights for a while: the list is empty, and each repository 404. Nothing that is served goes. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import { ClockedRig, MINUTE_MS } from "../support/clocked-rig.ts";
import { OPEN_ACCOUNTS } from "../support/fake-bitbucket/accounts.ts";

const SLUGS = ["one", "two", "three"] as const;
const HOUR_MS = 60 * MINUTE_MS;

let clocked: ClockedRig;
beforeAll(async () => {
  clocked = await ClockedRig.start(...SLUGS);
});
afterAll(() => clocked.rig.close());

async function expectServed(): Promise<void> {
  for (const slug of SLUGS) expect(await clocked.rig.serves(`acme/${slug}`), slug).toBe("equal");
}

/** @returns How many requests that takes at the primary. */
async function round(): Promise<number> {
  const { requests } = clocked.rig.fake.controls;
  const before = requests.length;
  await clocked.reconcile();
  await clocked.runJobs();
  return requests.length - before;
}

test("checks by git, empty lists, a day short of the proof: all is served; afterwards all is as before", async () => {
  await round();
  await expectServed();
  const { controls } = clocked.rig.fake;
  const { accounts } = controls;
  const [account] = OPEN_ACCOUNTS.callers ?? [];
  controls.replaceAccounts({
    callers: [{ ...account, name: "developer", token: "developer", rights: {} }],
    repositories: Object.fromEntries(
      Object.entries(accounts.repositories).map(([name, settings]) => [name, { ...settings, public: false }]),
    ),
  });
  // Before the next list, jobs of pushes and checks come first to it.
  for (const slug of SLUGS) clocked.queue(await clocked.jobFor(slug, "push"));
  await clocked.runJobs();
  clocked.nowMs += 5 * HOUR_MS;
  await round();
  const startMs = clocked.nowMs;
  let requestCount = 0;
  for (; clocked.nowMs < startMs + 23 * HOUR_MS; clocked.nowMs += 15 * MINUTE_MS)
    requestCount += await round();
  // One list each, and checks by git as before: git's refusal is repeated, and REST is asked twice.
  expect(requestCount).toBeLessThanOrEqual(23 * 4 + SLUGS.length * 6 * 8);
  expect((await readWorkspaceIndex(clocked.rig.store, "acme")).value?.removalsHeld?.count).toBe(3);
  controls.replaceAccounts(accounts);
  await expectServed();
  clocked.nowMs += 15 * MINUTE_MS;
  await round();
  expect((await readWorkspaceIndex(clocked.rig.store, "acme")).value?.removalsHeld).toBeUndefined();
  await expectServed();
});

test("one repository that is gone is withdrawn, though no webhook said so", async () => {
  clocked.rig.fake.controls.misbehave({ dropWebhooks: true });
  const job = { ...(await clocked.jobFor("two", "push")), reason: "check" } as const;
  await clocked.rig.fake.lifecycle.remove({ workspace: "acme", slug: "two" });
  clocked.nowMs += 20 * MINUTE_MS;
  clocked.queue(job, clocked.nowMs);
  await clocked.runJobs();
  await round();
  expect(await clocked.rig.serves("acme/two")).toBe("not served");
  expect(await clocked.rig.serves("acme/one")).toBe("equal");
});

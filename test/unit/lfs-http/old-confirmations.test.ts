/** Where nothing confirms a stored file any more, the right to serve it ends. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type LfsRig, startLfsRig } from "../../support/lfs/lfs-rig.ts";

let rig: LfsRig;
let oid: string;
const SIZE_BYTES = 700;

beforeAll(async () => {
  rig = await startLfsRig();
  oid = await rig.copier.addFile("a.bin", randomBytes(SIZE_BYTES));
  await rig.copier.run();
});

beforeEach(() => {
  rig.primary.fake.lfs.reset();
  rig.queued.length = 0;
  rig.restart();
});

afterAll(() => rig.close());

async function confirmDaysAgo(days: number, tries = 0): Promise<void> {
  const seconds = Math.floor(Date.now() / 1000) - days * 86_400;
  await rig.copier.rights.add([{ oid, sizeBytes: SIZE_BYTES, state: LFS_STATE.stored, tries, seconds }]);
}

/** Where the link leads to, or the error's code. */
async function answer(): Promise<unknown> {
  const { status, json } = await rig.download([{ oid, size: SIZE_BYTES }]);
  if (status !== 200) return status;
  const [entry] = json.objects ?? [];
  const href = entry?.actions?.download?.href;
  return href === undefined ? entry?.error?.code : href.includes("/~blobs/") ? "store" : "primary";
}

const batches = () => rig.primary.fake.lfs.batches.length;

test.each([
  [14, 0, "store"],
  [14, 6, "store"],
  [16, 0, "primary"],
  [16, 6, "primary"],
])("confirmed %i days ago, held %i times: the link is of the %s", async (days, tries, from) => {
  await confirmDaysAgo(days, tries);
  expect(await answer()).toBe(from);
  expect(batches()).toBe(from === "store" ? 0 : 1);
});

test("what the primary offers again is confirmed again, and then linked", async () => {
  await confirmDaysAgo(16);
  const queue = {
    send: async (sent: readonly (typeof rig.copier.messages)[number][]) =>
      void rig.copier.messages.push(...sent),
  };
  rig.restart({ queue: (place, files) => requestCopies(queue, place, files) });
  expect(await answer()).toBe("primary");
  await rig.copier.runJobs();
  rig.primary.fake.lfs.reset();
  expect(await answer()).toBe("store");
  expect(batches()).toBe(0);
});

test.each([401, 403, 404])("a primary that answers %i is believed", async (batchStatus) => {
  await confirmDaysAgo(16);
  rig.primary.fake.lfs.misbehave({ batchStatus });
  expect(await answer()).toBe(batchStatus === 404 ? 404 : 403);
});

test.each([
  [16, 503, "store"],
  [29, 503, "store"],
  [29, 429, "store"],
  [31, 503, 503],
  [31, 429, 429],
])("confirmed %i days ago, and the primary answers %i: %s", async (days, batchStatus, expected) => {
  await confirmDaysAgo(days);
  rig.primary.fake.lfs.misbehave({ batchStatus });
  expect(await answer()).toBe(expected);
});

test("where nothing is copied, nothing is linked", async () => {
  await confirmDaysAgo(0);
  expect(await answer()).toBe("store");
  rig.restart({ queue: "none" });
  expect(await answer()).toBe("primary");
});

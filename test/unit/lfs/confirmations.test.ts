/** The primary is asked again after a week which of the stored files it still has for a repository. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
let nowMs: number;
let clocked: CopierRig;
let primary: Primary;
let store: MemoryBlobStore;

const lfs = () => primary.fake.lfs;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  store = new MemoryBlobStore();
  nowMs = Date.now();
  clocked = copierRig(primary, store, { now: () => nowMs });
});

afterEach(async () => {
  await clocked.sync.close();
  await primary.close();
});

async function addFiles(count: number): Promise<string[]> {
  const oids: string[] = [];
  for (let i = 0; i < count; i++) oids.push(await clocked.addFile(`${i}.bin`, randomBytes(100)));
  await clocked.run();
  lfs().reset();
  return oids;
}

function remove(oids: readonly string[]): void {
  const error = { code: 404, message: "Object does not exist" };
  lfs().misbehave({ objectErrors: Object.fromEntries(oids.map((oid) => [oid, error])) });
}

async function states(oids: readonly string[]): Promise<Set<number | undefined>> {
  return new Set(await Promise.all(oids.map(async (oid) => (await clocked.record(oid))?.state)));
}

test.each([5, 2000])(
  "a stored file of 100 bytes that the primary calls %i bytes long is not transferred again",
  async (size) => {
    const [oid = ""] = await addFiles(1);
    nowMs += 8 * DAY_MS;
    lfs().misbehave({ objectChanges: { [oid]: { size } } });
    await clocked.run();
    expect([lfs().batches.length, lfs().transfers.length]).toEqual([1, 0]);
    expect(await clocked.record(oid)).toMatchObject({
      ...{ state: LFS_STATE.stored, sizeBytes: 100, seconds: Math.floor(nowMs / 1000) },
    });
  },
);

test("the primary is asked about a stored file with the stored size, whatever a pointer says", async () => {
  const [oid = ""] = await addFiles(1);
  await clocked.rights.add([{ oid, sizeBytes: 99, state: LFS_STATE.stored, tries: 0, seconds: 1 }]);
  const bodies: string[] = [];
  const recording: typeof fetch = (input, init) => {
    bodies.push(String(init?.body));
    return fetch(input, init);
  };
  const recorded = copierRig(primary, store, { now: () => nowMs, fetch: recording });
  await recorded.run();
  expect(JSON.parse(bodies[0] ?? "")).toMatchObject({ objects: [{ oid, size: 99 }] });
  await recorded.sync.close();
});

test("with one batch and no transfer; what it has deleted is not served any more", async () => {
  const [gone = "", ...others] = await addFiles(3);
  nowMs += 6 * DAY_MS;
  await clocked.run();
  expect(lfs().batches).toEqual([]);
  nowMs += 2 * DAY_MS;
  remove([gone]);
  await clocked.run();
  expect([lfs().batches.length, lfs().transfers.length]).toEqual([1, 0]);
  expect(await states([gone])).toEqual(new Set([LFS_STATE.missing]));
  expect(await states(others)).toEqual(new Set([LFS_STATE.stored]));
  await clocked.run();
  expect(lfs().batches).toHaveLength(1);
});

test("many that vanish at once are held, and believed gone after a week of the same answer", async () => {
  const oids = await addFiles(12);
  remove(oids);
  nowMs += 8 * DAY_MS;
  for (let day = 1; day <= 6; day++) {
    await clocked.run();
    expect(await states(oids)).toEqual(new Set([LFS_STATE.stored]));
    expect(lfs().batches).toHaveLength(day);
    nowMs += DAY_MS;
  }
  await clocked.run();
  expect(await states(oids)).toEqual(new Set([LFS_STATE.missing]));
});

test("many are many whichever jobs they are in: what is let go before that is few", async () => {
  const oids = await addFiles(12);
  remove(oids);
  nowMs += 8 * DAY_MS;
  const queue = { send: async (added: readonly QueueMessage[]) => void clocked.messages.push(...added) };
  for (let at = 0; at < oids.length; at += 3)
    await requestCopies(
      queue,
      { workspace: "acme", uuid: RIG_UUID },
      oids.slice(at, at + 3).map((oid) => ({ oid, sizeBytes: 100 })),
    );
  await clocked.runJobs();
  expect(lfs().batches).toHaveLength(4);
  expect(await states(oids.slice(0, 3))).toEqual(new Set([LFS_STATE.missing]));
  expect(await states(oids.slice(3))).toEqual(new Set([LFS_STATE.stored]));
  // And no few more the next day.
  nowMs += 1.5 * DAY_MS;
  await clocked.run();
  expect(await states(oids.slice(3))).toEqual(new Set([LFS_STATE.stored]));
});

test("a few a day are believed at once", async () => {
  const oids = await addFiles(12);
  nowMs += 8 * DAY_MS;
  remove(oids.slice(0, 4));
  await clocked.run();
  nowMs += 8 * DAY_MS;
  remove(oids.slice(0, 8));
  await clocked.run();
  expect(await states(oids.slice(0, 8))).toEqual(new Set([LFS_STATE.missing]));
  expect(await states(oids.slice(8))).toEqual(new Set([LFS_STATE.stored]));
});

test("and back among them, they are confirmed", async () => {
  const oids = await addFiles(12);
  remove(oids);
  nowMs += 8 * DAY_MS;
  await clocked.run();
  lfs().reset();
  nowMs += DAY_MS;
  await clocked.run();
  expect((await clocked.record(oids[0] as string))?.tries).toBe(0);
  await clocked.run();
  expect(lfs().batches).toHaveLength(1);
});

test("a 404 for the whole repository is held as well", async () => {
  const oids = await addFiles(2);
  lfs().misbehave({ batchStatus: 404 });
  nowMs += 8 * DAY_MS;
  await clocked.run();
  expect(await states(oids)).toEqual(new Set([LFS_STATE.stored]));
});

test("files that the primary leaves out of its answer keep their right, and are asked about again", async () => {
  const oids = await addFiles(3);
  const [leftOut = ""] = oids;
  lfs().misbehave({ leftOut: [leftOut] });
  for (let day = 8; day < 20; day++) {
    nowMs += day === 8 ? 8 * DAY_MS : DAY_MS;
    clocked.messages.length = 0;
    await expect(clocked.run()).rejects.toThrow("offers no download");
    expect(await states(oids)).toEqual(new Set([LFS_STATE.stored]));
  }
  expect(
    lfs()
      .batches.flatMap(({ oids }) => oids)
      .filter((oid) => oid === leftOut),
  ).toHaveLength(12);
  expect((await clocked.record(leftOut))?.tries).toBe(0);
  lfs().reset();
  await clocked.runJobs();
  expect((await clocked.record(leftOut))?.seconds).toBe(Math.floor(nowMs / 1000));
});

test("a file that the store has lost is copied again", async () => {
  const [oid = ""] = await addFiles(1);
  await store.delete(lfsFileKey(oid));
  nowMs += 8 * DAY_MS;
  await clocked.run();
  expect(await clocked.storedOids()).toEqual([oid]);
});

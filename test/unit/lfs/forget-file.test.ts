/** `nearside lfs forget`: whatever else runs or is damaged, the bytes are gone, and so is every right to them. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgetFile } from "../../../lib/lfs/forget-file.ts";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

let primary: Primary;
let faults: { -readonly [Key in keyof BlobFaults]: BlobFaults[Key] };
let store: MemoryBlobStore;
let rig: CopierRig;
let nowMs: number;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  faults = {};
  store = new MemoryBlobStore({ faults });
  nowMs = Date.now();
  rig = copierRig(primary, store, { now: () => nowMs });
  const entry = { slug: "sample", isPrivate: false, updatedOn: "", seenAt: new Date(nowMs).toISOString() };
  const repositories = { [RIG_UUID]: { ...entry, held: "mirrored" as const } };
  await workspaceIndex(store, "acme").change(() => ({ repositories }));
});

afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

async function queueCopy(oid: string, sizeBytes: number): Promise<void> {
  const queue = { send: async (messages: readonly QueueMessage[]) => void rig.messages.push(...messages) };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes }]);
}

test("a file that is forgotten is gone with every right to it", async () => {
  const [oid, other] = [
    await rig.addFile("a.bin", randomBytes(100)),
    await rig.addFile("b.bin", randomBytes(100)),
  ];
  await rig.run();
  expect(await forgetFile(store, oid)).toEqual({ wasStored: true, repositories: [RIG_UUID], damaged: [] });
  expect(await rig.record(oid)).toBeUndefined();
  expect((await rig.record(other))?.state).toBe(LFS_STATE.stored);
  expect(await rig.storedOids()).toEqual([other]);
  expect(await forgetFile(store, oid)).toEqual({ wasStored: false, repositories: [], damaged: [] });
});

test("a file is forgotten although another process merges the tables meanwhile", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  let isMerged = false;
  faults.before = async ({ kind, key }) => {
    if (kind !== "write" || !key.startsWith(repositoryKeys(RIG_UUID).lfsTableFolder) || isMerged)
      return undefined;
    isMerged = true;
    await rig.rights.rewrite();
    return undefined;
  };
  await forgetFile(store, oid);
  expect(isMerged).toBe(true);
  expect(await rig.record(oid)).toBeUndefined();
});

test("a copier that has found a file which is then forgotten gives no right to it", async () => {
  const [oid, other] = [
    await rig.addFile("a.bin", randomBytes(100)),
    await rig.addFile("b.bin", randomBytes(100)),
  ];
  await rig.run();
  nowMs += 8 * DAY_MS;
  let isForgotten = false;
  faults.before = async ({ kind, key }) => {
    if (kind !== "write" || !key.startsWith(repositoryKeys(RIG_UUID).lfsTableFolder) || isForgotten)
      return undefined;
    isForgotten = true;
    await forgetFile(store, oid);
    return undefined;
  };
  await expect(rig.run()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  expect(isForgotten).toBe(true);
  expect(await rig.storedOids()).toEqual([other]);
  expect(await rig.record(oid)).toBeUndefined();
  expect((await rig.record(other))?.state).toBe(LFS_STATE.stored);
});

test("a file that is forgotten between a copier's record and the end of the deletion has no right", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  nowMs += 8 * DAY_MS;
  let isCopied = false;
  faults.before = async ({ kind, key }) => {
    if (kind !== "delete" || key !== lfsFileKey(oid) || isCopied) return undefined;
    isCopied = true;
    await queueCopy(oid, 100);
    await rig.runJobs();
    return undefined;
  };
  await forgetFile(store, oid);
  expect([isCopied, await rig.storedOids()]).toEqual([true, []]);
  expect(await rig.record(oid)).toBeUndefined();
});

test("a file that is forgotten while it is copied is gone, and the job asks the primary again", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(300_000));
  let isForgotten = false;
  faults.before = async ({ kind, key }) => {
    // Its last byte is here, and it is about to become visible, or has just become so.
    if (kind !== "read" || key !== "lfs-sweep.json" || primary.fake.lfs.transfers.length === 0 || isForgotten)
      return undefined;
    isForgotten = true;
    expect(await forgetFile(store, oid)).toMatchObject({ wasStored: true });
    await store.write(lfsFileKey(oid), new Uint8Array(300_000));
    return undefined;
  };
  await expect(rig.run()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  expect([isForgotten, await rig.storedOids()]).toEqual([true, []]);
  expect((await rig.record(oid))?.state).not.toBe(LFS_STATE.stored);
  await rig.runJobs();
  expect(await rig.storedOids()).toEqual([oid]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

const OTHER_UUID = "11111111-1111-4111-8111-111111111111";

test("a file is forgotten although a table of another repository is damaged, which is reported", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  const seenAt = new Date(nowMs).toISOString();
  const other = { slug: "other", isPrivate: false, updatedOn: "", seenAt, held: "mirrored" as const };
  await workspaceIndex(store, "abc").change(() => ({ repositories: { [OTHER_UUID]: other } }));
  const damaged = new StoredLfsRights(store, OTHER_UUID);
  const record = { sizeBytes: 1, state: LFS_STATE.stored, tries: 0, seconds: 1 };
  await damaged.add([{ oid: "ab".repeat(32), ...record }]);
  await store.write(
    repositoryKeys(OTHER_UUID).lfsTable((await damaged.read()).document.tables[0]?.id ?? ""),
    new Uint8Array(10),
  );
  expect(await forgetFile(store, oid)).toEqual({
    ...{ wasStored: true, repositories: [RIG_UUID], damaged: [OTHER_UUID] },
  });
  expect([await rig.storedOids(), await rig.record(oid)]).toEqual([[], undefined]);
});

test("a file is deleted although the index of another workspace is damaged, which is reported", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await store.write("workspaces/abc.json", Buffer.from("{"));
  await expect(forgetFile(store, oid)).rejects.toMatchObject({ code: "STORED_DOCUMENT" });
  expect([await rig.storedOids(), await rig.record(oid)]).toEqual([[], undefined]);
});

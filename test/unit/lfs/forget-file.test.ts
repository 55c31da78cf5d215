/** `nearside lfs forget`: whatever else runs or is damaged, the bytes are gone, and so is every right to them. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgetFile } from "../../../lib/lfs/forget-file.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import { type ListedCopier, startListedCopier } from "../../support/lfs/listed-copier.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

let mirror: ListedCopier;

beforeEach(async () => {
  mirror = await startListedCopier();
});

afterEach(() => mirror.close());

test("a file that is forgotten is gone with every right to it", async () => {
  const [oid, other] = [
    await mirror.rig.addFile("a.bin", randomBytes(100)),
    await mirror.rig.addFile("b.bin", randomBytes(100)),
  ];
  await mirror.rig.run();
  expect(await forgetFile(mirror.store, oid)).toEqual({
    wasStored: true,
    repositories: [RIG_UUID],
    damaged: [],
  });
  expect(await mirror.rig.record(oid)).toBeUndefined();
  expect((await mirror.rig.record(other))?.state).toBe(LFS_STATE.stored);
  expect(await mirror.rig.storedOids()).toEqual([other]);
  expect(await forgetFile(mirror.store, oid)).toEqual({ wasStored: false, repositories: [], damaged: [] });
});

test("a file is forgotten although another process merges the tables meanwhile", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  let isMerged = false;
  mirror.faults.before = async ({ kind, key }) => {
    if (kind !== "write" || !key.startsWith(repositoryKeys(RIG_UUID).lfsTableFolder) || isMerged)
      return undefined;
    isMerged = true;
    await mirror.rig.rights.rewrite();
    return undefined;
  };
  await forgetFile(mirror.store, oid);
  expect(isMerged).toBe(true);
  expect(await mirror.rig.record(oid)).toBeUndefined();
});

test("a copier that has found a file which is then forgotten gives no right to it", async () => {
  const [oid, other] = [
    await mirror.rig.addFile("a.bin", randomBytes(100)),
    await mirror.rig.addFile("b.bin", randomBytes(100)),
  ];
  await mirror.rig.run();
  mirror.nowMs += 8 * DAY_MS;
  let isForgotten = false;
  mirror.faults.before = async ({ kind, key }) => {
    if (kind !== "write" || !key.startsWith(repositoryKeys(RIG_UUID).lfsTableFolder) || isForgotten)
      return undefined;
    isForgotten = true;
    await forgetFile(mirror.store, oid);
    return undefined;
  };
  await expect(mirror.rig.run()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  expect(isForgotten).toBe(true);
  expect(await mirror.rig.storedOids()).toEqual([other]);
  expect(await mirror.rig.record(oid)).toBeUndefined();
  expect((await mirror.rig.record(other))?.state).toBe(LFS_STATE.stored);
});

test("a file that is forgotten between a copier's record and the end of the deletion has no right", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  mirror.nowMs += 8 * DAY_MS;
  let isCopied = false;
  mirror.faults.before = async ({ kind, key }) => {
    if (kind !== "delete" || key !== lfsFileKey(oid) || isCopied) return undefined;
    isCopied = true;
    await mirror.queueCopy(oid, 100);
    await mirror.rig.runJobs();
    return undefined;
  };
  await forgetFile(mirror.store, oid);
  expect([isCopied, await mirror.rig.storedOids()]).toEqual([true, []]);
  expect(await mirror.rig.record(oid)).toBeUndefined();
});

test("a file that is forgotten while it is copied is gone, and the job asks the primary again", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(300_000));
  let isForgotten = false;
  mirror.faults.before = async ({ kind, key }) => {
    // Its last byte is here, and it is about to become visible, or has just become so.
    if (
      kind !== "read" ||
      key !== "lfs-sweep.json" ||
      mirror.primary.fake.lfs.transfers.length === 0 ||
      isForgotten
    )
      return undefined;
    isForgotten = true;
    expect(await forgetFile(mirror.store, oid)).toMatchObject({ wasStored: true });
    await mirror.store.write(lfsFileKey(oid), new Uint8Array(300_000));
    return undefined;
  };
  await expect(mirror.rig.run()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  expect([isForgotten, await mirror.rig.storedOids()]).toEqual([true, []]);
  expect((await mirror.rig.record(oid))?.state).not.toBe(LFS_STATE.stored);
  await mirror.rig.runJobs();
  expect(await mirror.rig.storedOids()).toEqual([oid]);
  expect((await mirror.rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

const OTHER_UUID = "11111111-1111-4111-8111-111111111111";

test("a file is forgotten although a table of another repository is damaged, which is reported", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  const seenAt = new Date(mirror.nowMs).toISOString();
  const other = { slug: "other", isPrivate: false, updatedOn: "", seenAt, held: "mirrored" as const };
  await workspaceIndex(mirror.store, "abc").change(() => ({ repositories: { [OTHER_UUID]: other } }));
  const damaged = new StoredLfsRights(mirror.store, OTHER_UUID);
  const record = { sizeBytes: 1, state: LFS_STATE.stored, tries: 0, seconds: 1 };
  await damaged.add([{ oid: "ab".repeat(32), ...record }]);
  await mirror.store.write(
    repositoryKeys(OTHER_UUID).lfsTable((await damaged.read()).document.tables[0]?.id ?? ""),
    new Uint8Array(10),
  );
  expect(await forgetFile(mirror.store, oid)).toEqual({
    ...{ wasStored: true, repositories: [RIG_UUID], damaged: [OTHER_UUID] },
  });
  expect([await mirror.rig.storedOids(), await mirror.rig.record(oid)]).toEqual([[], undefined]);
});

test("a file is deleted although the index of another workspace is damaged, which is reported", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await mirror.store.write("workspaces/abc.json", Buffer.from("{"));
  await expect(forgetFile(mirror.store, oid)).rejects.toMatchObject({ code: "STORED_DOCUMENT" });
  expect([await mirror.rig.storedOids(), await mirror.rig.record(oid)]).toEqual([[], undefined]);
});

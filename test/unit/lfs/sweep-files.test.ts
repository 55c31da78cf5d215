/** Files that no repository has a record of are deleted after a day, and never one that a copier has just found. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UnfinishedError } from "../../../lib/errors.ts";
import { checkLfsFiles } from "../../../lib/lfs/check-files.ts";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { type SweepReport, sweepFiles } from "../../../lib/lfs/sweep-files.ts";
import { sweepNotes } from "../../../lib/lfs/sweep-notes.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { readLfsCounts } from "../../../lib/repo/lfs-counts.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

const HOUR_MS = 60 * 60 * 1000;
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

function sweep(signal = new AbortController().signal): Promise<SweepReport | undefined> {
  return sweepFiles({ store, log: SILENT_LOGGER, signal, now: () => nowMs });
}

/** Its record goes, and its file stays, as after the last pointer was dropped. */
async function dropRecord(oid: string): Promise<void> {
  await rig.rights.rewrite((record) => record.oid !== oid);
}

async function queueCopy(oid: string, sizeBytes: number): Promise<void> {
  const queue = { send: async (messages: readonly QueueMessage[]) => void rig.messages.push(...messages) };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes }]);
}

test("what has a record stays, what has none goes after a day", async () => {
  const used = await rig.addFile("a.bin", randomBytes(100));
  const unused = await rig.addFile("b.bin", randomBytes(200));
  await rig.run();
  await dropRecord(unused);
  expect(await sweep()).toMatchObject({ files: 2, unusedFiles: 1, deletedFiles: 0 });
  expect(await sweep()).toBeUndefined();
  nowMs += 0.9 * DAY_MS;
  expect(await sweep()).toMatchObject({ deletedFiles: 0 });
  nowMs += DAY_MS;
  expect(await sweep()).toMatchObject({ unusedFiles: 1, deletedFiles: 1 });
  expect(await rig.storedOids()).toEqual([used]);
  expect((await sweepNotes(store).read()).value).toMatchObject({ unused: {} });
  expect((await sweepNotes(store).read()).value?.deleting).toBeUndefined();
});

test.each([30, 45_000])(
  "%i files lose their records at once: nothing is deleted for a week",
  { timeout: 120_000 },
  async (files) => {
    for (let i = 0; i < files; i++) {
      const oid = createHash("sha256").update(String(i)).digest("hex");
      await store.write(lfsFileKey(oid), new Uint8Array([i]));
    }
    const held = { files, unusedFiles: files, deletedFiles: 0, isHeld: true };
    expect(await sweep()).toEqual(held);
    nowMs += 1.1 * DAY_MS;
    expect(await sweep()).toEqual(held);
    nowMs += 6 * DAY_MS;
    expect(await sweep()).toMatchObject({ deletedFiles: Math.min(files, 5_000), isHeld: true });
  },
);

test("a file that is copied again between two sweeps stays", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await dropRecord(oid);
  await sweep();
  await queueCopy(oid, 100);
  await rig.runJobs();
  // Even if the record is lost once more, its day begins anew.
  await dropRecord(oid);
  nowMs += 1.1 * DAY_MS;
  expect(await sweep()).toMatchObject({ unusedFiles: 1, deletedFiles: 0 });
  expect(await rig.storedOids()).toEqual([oid]);
});

test("a copier that comes while a file is deleted waits, and brings it anew", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await dropRecord(oid);
  await sweep();
  nowMs += 1.1 * DAY_MS;
  await queueCopy(oid, 100);
  let isRefused = false;
  faults.before = async ({ kind, key }) => {
    if (kind === "delete" && key === lfsFileKey(oid) && !isRefused) {
      isRefused = true;
      await expect(rig.runJobs()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
    }
    return undefined;
  };
  expect(await sweep()).toMatchObject({ deletedFiles: 1 });
  expect([isRefused, await rig.storedOids()]).toEqual([true, []]);
  await rig.runJobs();
  expect(await rig.storedOids()).toEqual([oid]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

test("a copier that was first makes the sweep leave the file", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await dropRecord(oid);
  await sweep();
  nowMs += 1.1 * DAY_MS;
  await queueCopy(oid, 100);
  let isCopied = false;
  // After the tables were read.
  faults.before = async ({ kind, key }) => {
    if (kind === "list" && key === "lfs/" && !isCopied) {
      isCopied = true;
      await rig.runJobs();
    }
    return undefined;
  };
  expect(await sweep()).toMatchObject({ deletedFiles: 0 });
  expect(await rig.storedOids()).toEqual([oid]);
});

/** @returns The oid of a file that a sweep had begun to delete when it was killed. */
async function killedSweep(): Promise<string> {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await dropRecord(oid);
  await sweep();
  nowMs += 1.1 * DAY_MS;
  let isKilled = false;
  faults.before = ({ kind }) => {
    isKilled ||= kind === "delete";
    if (isKilled) throw new Error("killed");
    return undefined;
  };
  await expect(sweep()).rejects.toThrow("killed");
  delete faults.before;
  return oid;
}

test("a sweep that is killed while it deletes is finished by the next, an hour later", async () => {
  await killedSweep();
  nowMs += 0.9 * HOUR_MS;
  expect(await sweep()).toBeUndefined();
  nowMs += 0.2 * HOUR_MS;
  expect(await sweep()).toMatchObject({ deletedFiles: 1 });
  expect(await rig.storedOids()).toEqual([]);
  expect((await sweepNotes(store).read()).value?.deleting).toBeUndefined();
});

test("a copier takes its file from a sweep that was killed, after an hour", async () => {
  const oid = await killedSweep();
  await queueCopy(oid, 100);
  await expect(rig.runJobs()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  nowMs += 1.1 * HOUR_MS;
  await rig.runJobs();
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
  await sweep();
  expect(await rig.storedOids()).toEqual([oid]);
});

test("a sweep that is stopped gives back what is left, and the next one is due at once", async () => {
  const oids: string[] = [];
  for (let i = 0; i < 20; i++) oids.push(await rig.addFile(`${i}.bin`, randomBytes(100)));
  await rig.run();
  await rig.rights.rewrite(() => false);
  await sweep();
  nowMs += 1.1 * DAY_MS;
  const stop = new AbortController();
  faults.before = ({ kind }) => {
    if (kind === "delete") stop.abort();
    return undefined;
  };
  await expect(sweep(stop.signal)).rejects.toBeInstanceOf(UnfinishedError);
  delete faults.before;
  const [kept = "", ...others] = await rig.storedOids();
  expect(others).toHaveLength(3);
  await queueCopy(kept, 100);
  await rig.runJobs();
  expect(await sweep()).toMatchObject({ deletedFiles: 3 });
  expect(await rig.storedOids()).toEqual([kept]);
});

test.each([
  ["the index of a workspace", () => "workspaces/acme.json"],
  ["a repository's list of tables", () => repositoryKeys(RIG_UUID).lfsRights],
])("nothing is deleted while %s is damaged", async (_, keyOf) => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  await store.write(keyOf(), Buffer.from("{"));
  await expect(sweep()).rejects.toMatchObject({ code: "STORED_DOCUMENT" });
  expect(await rig.storedOids()).toEqual([oid]);
});

test("a table that a killed writer has not listed is removed after a day, a listed one stays", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  const { lfsTable, lfsTableFolder } = repositoryKeys(RIG_UUID);
  const listed = await keysOf(store, lfsTableFolder);
  await store.write(lfsTable("f".repeat(40)), new Uint8Array(10));
  await sweep();
  expect(await keysOf(store, lfsTableFolder)).toHaveLength(listed.length + 1);
  nowMs += 1.1 * DAY_MS;
  await sweep();
  expect(await keysOf(store, lfsTableFolder)).toEqual(listed);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

test("a damaged table is left out by the next plan, which has its files confirmed anew", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  for (const { id } of (await rig.rights.read()).document.tables)
    await store.write(repositoryKeys(RIG_UUID).lfsTable(id), Buffer.from("damaged"));
  await expect(sweep()).rejects.toThrow();
  await rig.run();
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
  expect(primary.fake.lfs.transfers).toHaveLength(1);
});

test("what is stored is checked by size, and by its bytes where that is asked for", async () => {
  const oids = [await rig.addFile("a.bin", randomBytes(100)), await rig.addFile("b.bin", randomBytes(100))];
  await rig.run();
  const check = (deep: boolean) => checkLfsFiles(RIG_UUID, { store, deep, checked: new Set() });
  expect(await check(true)).toEqual({ fileCount: 2, problems: [] });
  await store.write(lfsFileKey(oids[0] as string), randomBytes(100));
  expect((await check(false)).problems).toEqual([]);
  expect((await check(true)).problems).toEqual([expect.stringContaining(oids[0] as string)]);
  await store.delete(lfsFileKey(oids[1] as string));
  expect((await check(false)).problems).toEqual([expect.stringContaining(oids[1] as string)]);
});

test("the status counts files by state, and shows where .lfsconfig leads", async () => {
  await rig.addFile("a.bin", randomBytes(100));
  await rig.addFile("b.bin", randomBytes(50), { isMissing: true });
  await primary.commit("main", ".lfsconfig", '[lfs]\n\turl = "https://files.example.com/lfs" ; ours\n');
  await rig.run();
  expect(await readLfsCounts(store, RIG_UUID)).toMatchObject({
    ...{ pointers: 2, pointerBytes: 150, stored: 1, storedBytes: 100 },
    ...{ missing: 1, pending: 0, postponed: 0, held: 0 },
    configuredUrl: "https://files.example.com/lfs",
  });
});

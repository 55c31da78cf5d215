/** Files that no repository has a record of are deleted after a day, and never one that a copier has just found. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { UnfinishedError } from "../../../lib/errors.ts";
import { checkLfsFiles } from "../../../lib/lfs/check-files.ts";
import { type SweepReport, sweepFiles } from "../../../lib/lfs/sweep-files.ts";
import { sweepNotes } from "../../../lib/lfs/sweep-notes.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { lfsFileKey, repositoryKeys } from "../../../lib/repo/layout.ts";
import { readLfsCounts } from "../../../lib/repo/lfs-counts.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type ListedCopier, startListedCopier } from "../../support/lfs/listed-copier.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * 60 * 60 * 1000;

let mirror: ListedCopier;

beforeEach(async () => {
  mirror = await startListedCopier();
});

afterEach(() => mirror.close());

function sweep(signal = new AbortController().signal): Promise<SweepReport | undefined> {
  return sweepFiles({ store: mirror.store, log: SILENT_LOGGER, signal, now: () => mirror.nowMs });
}

/** Its record goes, and its file stays, as after the last pointer was dropped. */
async function dropRecord(oid: string): Promise<void> {
  await mirror.rig.rights.rewrite((record) => record.oid !== oid);
}

test("what has a record stays, what has none goes after a day", async () => {
  const used = await mirror.rig.addFile("a.bin", randomBytes(100));
  const unused = await mirror.rig.addFile("b.bin", randomBytes(200));
  await mirror.rig.run();
  await dropRecord(unused);
  expect(await sweep()).toMatchObject({ files: 2, unusedFiles: 1, deletedFiles: 0 });
  expect(await sweep()).toBeUndefined();
  mirror.nowMs += 0.9 * DAY_MS;
  expect(await sweep()).toMatchObject({ deletedFiles: 0 });
  mirror.nowMs += DAY_MS;
  expect(await sweep()).toMatchObject({ unusedFiles: 1, deletedFiles: 1 });
  expect(await mirror.rig.storedOids()).toEqual([used]);
  expect((await sweepNotes(mirror.store).read()).value).toMatchObject({ unused: {} });
  expect((await sweepNotes(mirror.store).read()).value?.deleting).toBeUndefined();
});

test.each([30, 45_000])(
  "%i files lose their records at once: nothing is deleted for a week",
  { timeout: 120_000 },
  async (files) => {
    for (let i = 0; i < files; i++) {
      const oid = createHash("sha256").update(String(i)).digest("hex");
      await mirror.store.write(lfsFileKey(oid), new Uint8Array([i]));
    }
    const held = { files, unusedFiles: files, deletedFiles: 0, isHeld: true };
    expect(await sweep()).toEqual(held);
    mirror.nowMs += 1.1 * DAY_MS;
    expect(await sweep()).toEqual(held);
    mirror.nowMs += 6 * DAY_MS;
    expect(await sweep()).toMatchObject({ deletedFiles: Math.min(files, 5_000), isHeld: true });
  },
);

test("a file that is copied again between two sweeps stays", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await dropRecord(oid);
  await sweep();
  await mirror.queueCopy(oid, 100);
  await mirror.rig.runJobs();
  // Even if the record is lost once more, its day begins anew.
  await dropRecord(oid);
  mirror.nowMs += 1.1 * DAY_MS;
  expect(await sweep()).toMatchObject({ unusedFiles: 1, deletedFiles: 0 });
  expect(await mirror.rig.storedOids()).toEqual([oid]);
});

test("a copier that comes while a file is deleted waits, and brings it anew", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await dropRecord(oid);
  await sweep();
  mirror.nowMs += 1.1 * DAY_MS;
  await mirror.queueCopy(oid, 100);
  let isRefused = false;
  mirror.faults.before = async ({ kind, key }) => {
    if (kind === "delete" && key === lfsFileKey(oid) && !isRefused) {
      isRefused = true;
      await expect(mirror.rig.runJobs()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
    }
    return undefined;
  };
  expect(await sweep()).toMatchObject({ deletedFiles: 1 });
  expect([isRefused, await mirror.rig.storedOids()]).toEqual([true, []]);
  await mirror.rig.runJobs();
  expect(await mirror.rig.storedOids()).toEqual([oid]);
  expect((await mirror.rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

test("a copier that was first makes the sweep leave the file", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await dropRecord(oid);
  await sweep();
  mirror.nowMs += 1.1 * DAY_MS;
  await mirror.queueCopy(oid, 100);
  let isCopied = false;
  // After the tables were read.
  mirror.faults.before = async ({ kind, key }) => {
    if (kind === "list" && key === "lfs/" && !isCopied) {
      isCopied = true;
      await mirror.rig.runJobs();
    }
    return undefined;
  };
  expect(await sweep()).toMatchObject({ deletedFiles: 0 });
  expect(await mirror.rig.storedOids()).toEqual([oid]);
});

/** @returns The oid of a file that a sweep had begun to delete when it was killed. */
async function killedSweep(): Promise<string> {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await dropRecord(oid);
  await sweep();
  mirror.nowMs += 1.1 * DAY_MS;
  let isKilled = false;
  mirror.faults.before = ({ kind }) => {
    isKilled ||= kind === "delete";
    if (isKilled) throw new Error("killed");
    return undefined;
  };
  await expect(sweep()).rejects.toThrow("killed");
  delete mirror.faults.before;
  return oid;
}

test("a sweep that is killed while it deletes is finished by the next, an hour later", async () => {
  await killedSweep();
  mirror.nowMs += 0.9 * HOUR_MS;
  expect(await sweep()).toBeUndefined();
  mirror.nowMs += 0.2 * HOUR_MS;
  expect(await sweep()).toMatchObject({ deletedFiles: 1 });
  expect(await mirror.rig.storedOids()).toEqual([]);
  expect((await sweepNotes(mirror.store).read()).value?.deleting).toBeUndefined();
});

test("a copier takes its file from a sweep that was killed, after an hour", async () => {
  const oid = await killedSweep();
  await mirror.queueCopy(oid, 100);
  await expect(mirror.rig.runJobs()).rejects.toMatchObject({ code: "VERSION_CONFLICT" });
  mirror.nowMs += 1.1 * HOUR_MS;
  await mirror.rig.runJobs();
  expect((await mirror.rig.record(oid))?.state).toBe(LFS_STATE.stored);
  await sweep();
  expect(await mirror.rig.storedOids()).toEqual([oid]);
});

test("a sweep that is stopped gives back what is left, and the next one is due at once", async () => {
  const oids: string[] = [];
  for (let i = 0; i < 20; i++) oids.push(await mirror.rig.addFile(`${i}.bin`, randomBytes(100)));
  await mirror.rig.run();
  await mirror.rig.rights.rewrite(() => false);
  await sweep();
  mirror.nowMs += 1.1 * DAY_MS;
  const stop = new AbortController();
  mirror.faults.before = ({ kind }) => {
    if (kind === "delete") stop.abort();
    return undefined;
  };
  await expect(sweep(stop.signal)).rejects.toBeInstanceOf(UnfinishedError);
  delete mirror.faults.before;
  const [kept = "", ...others] = await mirror.rig.storedOids();
  expect(others).toHaveLength(3);
  await mirror.queueCopy(kept, 100);
  await mirror.rig.runJobs();
  expect(await sweep()).toMatchObject({ deletedFiles: 3 });
  expect(await mirror.rig.storedOids()).toEqual([kept]);
});

test.each([
  ["the index of a workspace", () => "workspaces/acme.json"],
  ["a repository's list of tables", () => repositoryKeys(RIG_UUID).lfsRights],
])("nothing is deleted while %s is damaged", async (_, keyOf) => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  await mirror.store.write(keyOf(), Buffer.from("{"));
  await expect(sweep()).rejects.toMatchObject({ code: "STORED_DOCUMENT" });
  expect(await mirror.rig.storedOids()).toEqual([oid]);
});

test("a table that a killed writer has not listed is removed after a day, a listed one stays", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  const { lfsTable, lfsTableFolder } = repositoryKeys(RIG_UUID);
  const listed = await keysOf(mirror.store, lfsTableFolder);
  await mirror.store.write(lfsTable("f".repeat(40)), new Uint8Array(10));
  await sweep();
  expect(await keysOf(mirror.store, lfsTableFolder)).toHaveLength(listed.length + 1);
  mirror.nowMs += 1.1 * DAY_MS;
  await sweep();
  expect(await keysOf(mirror.store, lfsTableFolder)).toEqual(listed);
  expect((await mirror.rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

test("a damaged table is left out by the next plan, which has its files confirmed anew", async () => {
  const oid = await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.run();
  for (const { id } of (await mirror.rig.rights.read()).document.tables)
    await mirror.store.write(repositoryKeys(RIG_UUID).lfsTable(id), Buffer.from("damaged"));
  await expect(sweep()).rejects.toThrow();
  await mirror.rig.run();
  expect((await mirror.rig.record(oid))?.state).toBe(LFS_STATE.stored);
  expect(mirror.primary.fake.lfs.transfers).toHaveLength(1);
});

test("what is stored is checked by size, and by its bytes where that is asked for", async () => {
  const oids = [
    await mirror.rig.addFile("a.bin", randomBytes(100)),
    await mirror.rig.addFile("b.bin", randomBytes(100)),
  ];
  await mirror.rig.run();
  const check = (deep: boolean) => checkLfsFiles(RIG_UUID, { store: mirror.store, deep, checked: new Set() });
  expect(await check(true)).toEqual({ fileCount: 2, problems: [] });
  await mirror.store.write(lfsFileKey(oids[0] as string), randomBytes(100));
  expect((await check(false)).problems).toEqual([]);
  expect((await check(true)).problems).toEqual([expect.stringContaining(oids[0] as string)]);
  await mirror.store.delete(lfsFileKey(oids[1] as string));
  expect((await check(false)).problems).toEqual([expect.stringContaining(oids[1] as string)]);
});

test("the status counts files by state, and shows where .lfsconfig leads", async () => {
  await mirror.rig.addFile("a.bin", randomBytes(100));
  await mirror.rig.addFile("b.bin", randomBytes(50), { isMissing: true });
  await mirror.primary.commit(
    "main",
    ".lfsconfig",
    '[lfs]\n\turl = "https://files.example.com/lfs" ; ours\n',
  );
  await mirror.rig.run();
  expect(await readLfsCounts(mirror.store, RIG_UUID)).toMatchObject({
    ...{ pointers: 2, pointerBytes: 150, stored: 1, storedBytes: 100 },
    ...{ missing: 1, pending: 0, postponed: 0, held: 0 },
    configuredUrl: "https://files.example.com/lfs",
  });
});

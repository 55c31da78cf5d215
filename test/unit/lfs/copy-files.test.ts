/** The copier of git-lfs files against the fake Bitbucket: what is in the store is whole and right, whatever goes wrong. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { planCopies } from "../../../lib/lfs/plan-copies.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { compactRepository } from "../../../lib/repo/compaction/compact-repository.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { readLfsCounts } from "../../../lib/repo/lfs-counts.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

let primary: Primary;
let store: MemoryBlobStore;
let rig: CopierRig;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  store = new MemoryBlobStore();
  rig = copierRig(primary, store);
});

afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

const lfs = () => primary.fake.lfs;

test("the files of branches are copied once, those of history only where all is wanted", async () => {
  const old = await rig.addFile("a.bin", randomBytes(1000));
  const tip = await rig.addFile("a.bin", randomBytes(20_000));
  await rig.run();
  expect(await rig.storedOids()).toEqual([tip]);
  expect(await rig.record(tip)).toMatchObject({ state: LFS_STATE.stored, sizeBytes: 20_000 });
  expect(await rig.record(old)).toBeUndefined();
  await rig.run();
  expect(lfs().transfers).toHaveLength(1);
  expect(lfs().batches.map(({ transfers }) => transfers)).toEqual([["basic"]]);

  await rig.run("all");
  expect(await rig.storedOids()).toEqual([old, tip].toSorted());
  expect((await rig.rights.read()).document).toMatchObject({ pointers: 2, pointerBytes: 21_000 });
});

test("a job, and so a batch, has at most 100 files", async () => {
  const messages: { body: string }[] = [];
  const objects = Array.from({ length: 201 }, (_, i) => ({
    oid: i.toString(16).padStart(64, "0"),
    sizeBytes: 1,
  }));
  const queue = { send: async (added: readonly QueueMessage[]) => void messages.push(...added) };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, objects);
  const counts = messages.map(({ body }) => (JSON.parse(body) as { objects: unknown[] }).objects.length);
  expect(counts).toEqual([100, 100, 1]);
});

describe("a file that is not right, or not whole, is never visible", () => {
  test("wrong bytes, until there are others a day later", async () => {
    let nowMs = Date.now();
    const clocked = copierRig(primary, store, { now: () => nowMs });
    const oid = await clocked.addFile("a.bin", randomBytes(300_000));
    lfs().misbehave({ wrongBytes: true });
    await clocked.run();
    expect(await clocked.storedOids()).toEqual([]);
    expect(await clocked.record(oid)).toMatchObject({ state: LFS_STATE.postponed, tries: 1 });
    lfs().reset();
    nowMs += 25 * 60 * 60 * 1000;
    await clocked.run();
    expect(await clocked.storedOids()).toEqual([oid]);
    await clocked.sync.close();
  });

  test("a storage that fails: the job fails, and another try brings it", async () => {
    const [bad, good] = [
      await rig.addFile("a.bin", randomBytes(1000)),
      await rig.addFile("b.bin", randomBytes(1001)),
    ];
    lfs().misbehave({ storageStatus: 503 });
    await expect(rig.run()).rejects.toThrow("answered 503");
    expect(await rig.storedOids()).toEqual([]);
    lfs().reset();
    await rig.runJobs();
    expect(await rig.storedOids()).toEqual([bad, good].toSorted());
  });

  test("a connection that is cut goes on where it was cut, and the bytes come once", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(900_000));
    lfs().misbehave({ cutAfterBytes: 300_000, transfersLeft: 2 });
    await rig.run();
    expect(await rig.storedOids()).toEqual([oid]);
    const ranges = lfs().transfers.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0]));
    expect(ranges).toHaveLength(3);
    expect(ranges.toSorted((a, b) => a - b)).toEqual(ranges);
    expect(ranges[2]).toBeGreaterThan(0);
  });

  test("a storage without ranges sends it again, and the file is right", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(900_000));
    lfs().misbehave({ ignoresRanges: true, cutAfterBytes: 300_000, transfersLeft: 1 });
    await rig.run();
    expect(await rig.storedOids()).toEqual([oid]);
  });

  test("a link that has expired is asked for anew", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(1000));
    lfs().misbehave({ storageStatus: 403, transfersLeft: 1 });
    await rig.run();
    expect(await rig.storedOids()).toEqual([oid]);
    expect(lfs().batches).toHaveLength(2);
  });

  test("a link that expires half-way: the rest comes by a new one", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(900_000));
    lfs().misbehave({ linkSeconds: 0.2, bytesPerSecond: 1_000_000, cutAfterBytes: 300_000 });
    await rig.run();
    expect(await rig.storedOids()).toEqual([oid]);
    expect(lfs().batches.length).toBeGreaterThan(1);
    const { transfers } = lfs();
    expect(transfers.map(({ status }) => status)).toContain(403);
    const starts = transfers.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0]));
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
    expect(starts.at(-1)).toBeGreaterThan(0);
  });

  test("a file that the storage has lost is asked for rarely, and fails no job", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(1000));
    lfs().misbehave({ storageStatus: 404 });
    await rig.run();
    expect(await rig.record(oid)).toMatchObject({ state: LFS_STATE.postponed, tries: 1 });
    expect(lfs().transfers).toHaveLength(2);
  });

  test("the store fails while it is written", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(50_000));
    const startUpload = store.startUpload.bind(store);
    store.startUpload = async (key, condition) => {
      const upload = await startUpload(key, condition);
      if (key.startsWith("lfs/")) upload.write = () => Promise.reject(new Error("no space left on device"));
      return upload;
    };
    await expect(rig.run()).rejects.toThrow("no space left");
    expect((await rig.record(oid))?.state).toBe(LFS_STATE.pending);
    store.startUpload = startUpload;
    await rig.runJobs();
    expect(await rig.storedOids()).toEqual([oid]);
  });

  test("stopped on the way", async () => {
    await rig.addFile("a.bin", randomBytes(400_000));
    const stop = new AbortController();
    const stopped = copierRig(primary, store, { signal: stop.signal });
    lfs().misbehave({ bytesPerSecond: 100_000 });
    const running = stopped.run();
    const failed = expect(running).rejects.toThrow("stopped");
    while (lfs().transfers.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    stop.abort();
    await failed;
    expect(await rig.storedOids()).toEqual([]);
    lfs().reset();
    await stopped.sync.close();
    // The queue keeps what was not done.
    rig.messages.push(...stopped.messages);
    await rig.runJobs();
    expect(await rig.storedOids()).toHaveLength(1);
  });
});

describe("what the primary does not give", () => {
  test("a missing file is noted and asked for again after a day, then after two", async () => {
    let nowMs = Date.now();
    const clocked = copierRig(primary, store, { now: () => nowMs });
    const content = randomBytes(1000);
    const oid = await clocked.addFile("a.bin", content, { isMissing: true });
    await clocked.run();
    expect(await clocked.record(oid)).toMatchObject({ state: LFS_STATE.missing, tries: 1 });
    await clocked.run();
    expect(lfs().batches).toHaveLength(1);
    nowMs += 25 * 60 * 60 * 1000;
    await clocked.run();
    expect(lfs().batches).toHaveLength(2);
    nowMs += 25 * 60 * 60 * 1000;
    await clocked.run();
    expect(lfs().batches).toHaveLength(2);
    await clocked.addFile("a.bin", content);
    nowMs += 25 * 60 * 60 * 1000;
    await clocked.run();
    expect(await clocked.record(oid)).toMatchObject({ state: LFS_STATE.stored, tries: 0 });
    await clocked.sync.close();
  });

  test("an error of the primary's for one file is no evidence that it is missing", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(1000));
    lfs().misbehave({ objectErrors: { [oid]: { code: 500, message: "try later" } } });
    await rig.run();
    expect((await rig.record(oid))?.state).toBe(LFS_STATE.postponed);
  });

  test("neither is an entry that cannot be read, and others of its batch are copied", async () => {
    const odd = await rig.addFile("a.bin", randomBytes(1000));
    const good = await rig.addFile("b.bin", randomBytes(2000));
    lfs().misbehave({ objectChanges: { [odd]: { actions: null, error: { code: "404" } } } });
    await rig.run();
    expect((await rig.record(odd))?.state).toBe(LFS_STATE.postponed);
    expect(await rig.storedOids()).toEqual([good]);
  });

  test("neither is an answer without the file: it is asked for again", async () => {
    const oid = await rig.addFile("a.bin", randomBytes(1000));
    lfs().misbehave({ leftOut: [oid] });
    await rig.run();
    expect((await rig.record(oid))?.state).toBe(LFS_STATE.postponed);
    expect(await rig.storedOids()).toEqual([]);
  });

  test("a rate limit fails the job with the time that the primary asks for", async () => {
    await rig.addFile("a.bin", randomBytes(1000));
    lfs().misbehave({ batchStatus: 429, batchRetryAfterSeconds: 7 });
    await expect(rig.run()).rejects.toMatchObject({ retryable: true, retryAfterSeconds: 7 });
  });

  test("larger files stay there", async () => {
    const limited = copierRig(primary, store, { maxFileBytes: 1500 });
    const small = await limited.addFile("a.bin", randomBytes(1000));
    await limited.addFile("b.bin", randomBytes(2000));
    await limited.run();
    expect(await limited.storedOids()).toEqual([small]);
    await limited.sync.close();
  });
});

test("a file that was too large when a client asked for it is copied by a plan after the limit is raised", async () => {
  const limited = copierRig(primary, store, { maxFileBytes: 1500 });
  const oid = await limited.addFile("a.bin", randomBytes(2000));
  await limited.run();
  const queue = { send: async (sent: readonly QueueMessage[]) => void limited.messages.push(...sent) };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes: 2000 }]);
  await limited.runJobs();
  expect(await limited.record(oid)).toMatchObject({ state: LFS_STATE.postponed, sizeBytes: 2000 });
  lfs().reset();
  await limited.run();
  expect([await limited.storedOids(), lfs().batches]).toEqual([[], []]);
  await rig.run();
  expect(await rig.storedOids()).toEqual([oid]);
  await limited.sync.close();
});

test("bytes that another repository has brought are not transferred again, but the primary is asked", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(1000));
  await rig.run();
  await store.delete(repositoryKeys(RIG_UUID).lfsRights);
  lfs().reset();
  await rig.run();
  expect([lfs().batches.length, lfs().transfers.length]).toEqual([1, 0]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

test("a file of the store that the primary does not confirm for the repository gives no right, after a compaction either", async () => {
  const content = randomBytes(1000);
  const oid = await rig.addFile("a.bin", content);
  await rig.run();
  // As another repository would see it, whose primary has no such file.
  await store.delete(repositoryKeys(RIG_UUID).lfsRights);
  lfs().misbehave({ objectErrors: { [oid]: { code: 404, message: "Object does not exist" } } });
  await rig.run();
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.missing);
  await compactRepository(RIG_UUID, { store });
  await rig.run();
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.missing);
});

test("a .lfsconfig is shown and never followed", async () => {
  const hosts = new Set<string>();
  const recording: typeof fetch = (input, init) => {
    hosts.add(new URL(String(input)).hostname);
    return fetch(input, init);
  };
  const watched = copierRig(primary, store, { fetch: recording });
  await watched.addFile("a.bin", randomBytes(1000));
  for (const url of ["https://evil.example/lfs", "http://169.254.169.254/latest", "file:///etc/passwd"]) {
    await primary.commit("main", ".lfsconfig", `[lfs]\n\turl = ${url}\n\tpushurl = ${url}\n`);
    await watched.run("all");
    expect((await watched.rights.read()).document.configuredUrl).toBe(url);
  }
  expect([...hosts]).toEqual(["127.0.0.1"]);
  expect(await watched.storedOids()).toHaveLength(1);
  await watched.sync.close();
});

test("nothing is copied that the repository has no pointer to, whatever the job says", async () => {
  await rig.addFile("a.bin", randomBytes(1000));
  await rig.run();
  lfs().reset();
  const oid = "ab".repeat(32);
  const job = { kind: "copy", workspace: "acme", uuid: RIG_UUID, queuedAt: new Date().toISOString() };
  const body = JSON.stringify({ ...job, objects: [{ oid, sizeBytes: 5 }] });
  rig.messages.push({ groupId: "a", dedupId: "b", body });
  await rig.runJobs();
  expect(lfs().batches).toEqual([]);
  expect(await rig.record(oid)).toBeUndefined();
});

test("packs without a sidecar are searched for pointers, without a sync", async () => {
  const oid = await rig.addFile("a.bin", randomBytes(1000));
  await rig.sync.sync();
  const { packs } = await rig.sync.manifest();
  for (const { id } of packs) await store.delete(repositoryKeys(RIG_UUID).packLfs(id));
  // The plan, without the search.
  const plan = {
    kind: "plan",
    workspace: "acme",
    uuid: RIG_UUID,
    queuedAt: new Date().toISOString(),
  } as const;
  const queue = { send: async () => undefined };
  const options = { policy: "tips", maxFileBytes: 1e9, log: SILENT_LOGGER } as const;
  await planCopies(plan, { storage: rig.sync.storage, queue, ...options });
  expect(await readLfsCounts(store, RIG_UUID)).toMatchObject({ pointers: 0, unsearchedPacks: 1 });
  await rig.run();
  expect(await readLfsCounts(store, RIG_UUID)).toMatchObject({ pointers: 1, unsearchedPacks: 0 });
  expect((await rig.rights.read()).document).toMatchObject({ pointers: 1, pointerBytes: 1000 });
  expect(await rig.storedOids()).toEqual([oid]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
});

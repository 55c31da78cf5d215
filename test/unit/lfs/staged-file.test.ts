/** Large files, staged in parts: whatever happens, nothing but the right file becomes visible, and one more run heals it. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID } from "../../support/sync-rig.ts";

const STAGING = { aboveBytes: 100_000, partBytes: 40_000, shortSeconds: 0 };
const CONTENT = randomBytes(500_000);
const OID = createHash("sha256").update(CONTENT).digest("hex");

let primary: Primary;
let faults: Mutable<BlobFaults>;
let store: MemoryBlobStore;
let rig: CopierRig;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  faults = {};
  store = new MemoryBlobStore({ faults });
  rig = copierRig(primary, store, { staging: STAGING });
  await rig.addFile("large.bin", CONTENT);
});

afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

const lfs = () => primary.fake.lfs;

async function expectRight(): Promise<void> {
  for (const key of await keysOf(store, "lfs/")) {
    const { bytes } = await store.read(key);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(key.slice(key.lastIndexOf("/") + 1));
  }
  if ((await rig.record(OID))?.state === LFS_STATE.stored) expect(await rig.storedOids()).toEqual([OID]);
}

async function expectDone(): Promise<void> {
  await expectRight();
  expect((await rig.record(OID))?.state).toBe(LFS_STATE.stored);
  expect(await keysOf(store, "lfs-parts/")).toEqual([]);
}

test("in one run", async () => {
  await rig.run();
  await expectDone();
  expect(lfs().transfers).toHaveLength(1);
});

describe("what takes a short time", () => {
  let quick: CopierRig;
  const staged: string[] = [];

  beforeEach(async () => {
    quick = copierRig(primary, store, { staging: { ...STAGING, shortSeconds: 120 } });
    staged.length = 0;
    faults.before = ({ kind, key }) => {
      if (kind === "write" && key.startsWith("lfs-parts/")) staged.push(key);
      return undefined;
    };
  });

  afterEach(() => quick.sync.close());

  test("is not staged after the first part", async () => {
    await quick.run();
    await expectDone();
    expect(staged).toHaveLength(1);
    expect(lfs().transfers).toHaveLength(1);
  });

  test("is staged by the next try, if it could not be finished", async () => {
    lfs().misbehave({ cutAfterBytes: 200_000, ignoresRanges: true });
    await expect(quick.run()).rejects.toThrow("broke");
    expect(staged).toHaveLength(1);
    await expectRight();
    lfs().reset();
    await quick.runJobs();
    await expectDone();
    expect(staged.length).toBeGreaterThan(3);
    expect(lfs().transfers).toMatchObject([{ range: expect.stringMatching(/^bytes=[1-9]/) }]);
  });

  test("with wrong bytes leaves nothing behind", async () => {
    lfs().misbehave({ wrongBytes: true });
    await quick.run();
    await expectRight();
    expect(await keysOf(store, "lfs-parts/")).toEqual([]);
    expect((await quick.record(OID))?.state).toBe(LFS_STATE.postponed);
  });
});

/** @returns Whether the jobs were done in this time. */
async function runFor(milliseconds: number): Promise<boolean> {
  const signal = AbortSignal.timeout(milliseconds);
  const limited = copierRig(primary, store, { staging: STAGING, signal });
  limited.messages.push(...rig.messages.splice(0));
  try {
    await limited.runJobs();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "STOPPED" });
    return false;
  } finally {
    rig.messages.push(...limited.messages);
    await limited.sync.close();
  }
}

/** The job alone, as after a plan. */
async function queueCopy(oid = OID, sizeBytes = CONTENT.length): Promise<void> {
  const queue = { send: async (messages: readonly QueueMessage[]) => void rig.messages.push(...messages) };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes }]);
}

test("a file that takes longer than a run has is brought by several, each of which continues", async () => {
  await rig.sync.sync();
  await queueCopy();
  lfs().misbehave({ bytesPerSecond: 150_000 });
  let runs = 1;
  while (!(await runFor(1_000))) {
    await expectRight();
    expect(runs++).toBeLessThan(60);
  }
  await expectDone();
  expect(runs).toBeGreaterThan(1);
  const starts = lfs().transfers.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0]));
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(starts.at(-1)).toBeGreaterThan(STAGING.partBytes);
});

test("a smaller file that a run could not finish is staged by the next ones, which continue", async () => {
  const oid = await rig.addFile("slow.bin", CONTENT.subarray(0, 90_000));
  await rig.sync.sync();
  await queueCopy(oid, 90_000);
  lfs().misbehave({ bytesPerSecond: 30_000 });
  let runs = 1;
  while (!(await runFor(1_500))) expect(runs++).toBeLessThan(40);
  expect(runs).toBeGreaterThan(1);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
  expect([await rig.storedOids(), await keysOf(store, "lfs-parts/")]).toEqual([[oid], []]);
  expect(lfs().transfers.some(({ range }) => /^bytes=[1-9]/.test(range ?? ""))).toBe(true);
});

test("links that expire half-way are asked for anew", async () => {
  await rig.sync.sync();
  await queueCopy();
  lfs().misbehave({ cutAfterBytes: 100_000, linkSeconds: 0.8, bytesPerSecond: 100_000 });
  await rig.runJobs();
  await expectDone();
  expect(lfs().batches.length).toBeGreaterThan(1);
});

test("wrong bytes leave nothing behind, and are tried again later", async () => {
  lfs().misbehave({ wrongBytes: true });
  await rig.run();
  expect(await rig.storedOids()).toEqual([]);
  expect(await keysOf(store, "lfs-parts/")).toEqual([]);
  expect((await rig.record(OID))?.state).toBe(LFS_STATE.postponed);
});

/** Writes a part as an earlier try has left it. */
async function leavePart(offsetBytes: number, bytes: Uint8Array, suffix = ""): Promise<void> {
  await store.write(`lfs-parts/${OID}/${String(offsetBytes).padStart(15, "0")}${suffix}`, bytes);
}

test("parts that were damaged in the store are found by the hash, and brought anew at once", async () => {
  await leavePart(0, randomBytes(40_000), "-0a");
  await rig.run();
  await expectDone();
  expect(lfs().transfers.map(({ range }) => range)).toEqual(["bytes=40000-", undefined]);
});

test("of parts that overlap the longest row counts, with those of an older release", async () => {
  await leavePart(0, CONTENT.subarray(0, 90_000), "-0a");
  await leavePart(0, CONTENT.subarray(0, 50_000));
  await leavePart(50_000, CONTENT.subarray(50_000, 120_000), "-0b");
  await leavePart(130_000, CONTENT.subarray(130_000, 200_000), "-0c");
  await rig.run();
  await expectDone();
  expect(lfs().transfers.map(({ range }) => range)).toEqual(["bytes=120000-"]);
});

test("a process that is stopped does not shorten what another has staged meanwhile", async () => {
  await rig.sync.sync();
  await queueCopy();
  lfs().misbehave({ bytesPerSecond: 100_000 });
  let isStaged = false;
  faults.before = async ({ kind, key }) => {
    if (kind !== "write" || !key.startsWith("lfs-parts/") || isStaged) return undefined;
    isStaged = true;
    await leavePart(0, CONTENT);
    return undefined;
  };
  while (!isStaged) expect(await runFor(700)).toBe(false);
  lfs().reset();
  await rig.runJobs();
  await expectDone();
  expect(lfs().transfers).toEqual([]);
});

test("a store whose seventh part fails", async () => {
  await rig.sync.sync();
  await queueCopy();
  let parts = 0;
  faults.before = ({ kind, key }) => {
    if (kind === "write" && key.startsWith("lfs-parts/") && ++parts === 7) throw new Error("no space left");
    return undefined;
  };
  await expect(rig.runJobs()).rejects.toThrow("no space left");
  await expectRight();
  expect(await keysOf(store, "lfs-parts/")).toHaveLength(6);
  await rig.runJobs();
  await expectDone();
  expect(lfs().transfers).toHaveLength(2);
});

/** What a process that has served nothing reads for a fetch of what is new, and when it reads all indexes after all. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CorruptPackError } from "../../../lib/errors.ts";
import type { RecentSubject } from "../../../lib/git/recent/choose-recent.ts";
import { newestTableBytes } from "../../../lib/git/recent/newest-entries.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { openRepository } from "../../../lib/repo/repository.ts";
import { recentKey } from "../../../lib/repo/stored-recent.ts";
import { writeRecentObjects } from "../../../lib/repo/write-recent.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRecent } from "../../../lib/sync/prepare-repository.ts";
import { ColdFetches } from "../../support/cold-fetch.ts";
import { git } from "../../support/git/run-git.ts";
import { writeName } from "../../support/named-repository.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

const COMMITS = 60;
const PACKS = 4;
const blobs = new MemoryBlobStore();
const damage: unknown[] = [];
const cold = new ColdFetches(blobs, (error) => void damage.push(error));
const ask = cold.ask.bind(cold);
let primary: Primary;
/** The newest first. */
let line: string[];
let sideId: string;
let oldSideId: string;

beforeAll(async () => {
  primary = await startPrimary();
  const rig = syncRig(primary, blobs);
  const text = (file: number, commit: number) =>
    Array.from({ length: 40 }, (_, row) => `${file} ${row === commit % 40 ? commit : row}`).join("\n");
  for (let commit = 0; commit < COMMITS; commit++) {
    await primary.commit("main", `${commit % 3}/${commit % 5}.txt`, text(commit % 5, commit));
    if (commit === 5) await primary.git("branch", "old-side", "main");
    if (commit === COMMITS - 4) await primary.git("branch", "side", "main");
    if (commit % (COMMITS / PACKS) === COMMITS / PACKS - 1) await rig.sync();
  }
  sideId = await primary.commit("side", "side.txt", "beside");
  for (let commit = 0; commit < 40; commit++)
    oldSideId = await primary.commit("old-side", "old.txt", text(9, commit));
  await primary.git("tag", "--annotate", "--message=newest", "newest", "main");
  await rig.sync();
  await writeName(blobs, "acme", "sample", RIG_UUID);
  line = (await git(["rev-list", "--first-parent", "main"], { cwd: primary.repository })).split("\n");
}, 120_000);

afterAll(() => primary.close());

beforeEach(() => {
  damage.length = 0;
});

/** As syncs do. */
async function keepAllRecent(): Promise<void> {
  await dropRecent();
  await prepareRecent(RIG_UUID, {
    storage: { store: blobs, blocks: new BlockCache(blobs) },
    log: SILENT_LOGGER,
  });
}

async function keepRecent(limits: Omit<RecentSubject, "objects" | "refList">): Promise<void> {
  const repository = await openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
  const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
  expect(await writeRecentObjects(blobs, repository, { objects, refList, ...limits })).toBeGreaterThan(100);
}

async function dropRecent(): Promise<void> {
  for await (const { key } of blobs.list(repositoryKeys(RIG_UUID).recentFolder)) await blobs.delete(key);
}

const behind = (count: number) => [
  `want ${line[0]}`,
  ...line.slice(count, count + 16).map((id) => `have ${id}`),
];

describe("where the recent objects are kept", () => {
  beforeAll(keepAllRecent);

  test("a fetch of what is new takes three rounds and four requests, and reads neither index nor pack", async () => {
    const { rounds, requests, indexCount, text } = await ask(...behind(1));
    // The name, manifest and refs, the recent objects with their entries.
    expect({ rounds, requests, indexCount }).toEqual({ rounds: 3, requests: 4, indexCount: 0 });
    expect(text).toContain("ready\n");
    expect(text).toContain("PACK");
  });

  test("they are not written where they are, and are where they are lost", async () => {
    const counting = new CountingBlobStore(blobs);
    const storage = { store: counting, blocks: new BlockCache(counting) };
    await prepareRecent(RIG_UUID, { storage, log: SILENT_LOGGER });
    expect(counting.counts()).toMatchObject({ requests: 2, write: 0 });
    await dropRecent();
    await prepareRecent(RIG_UUID, { storage, log: SILENT_LOGGER });
    expect(counting.counts()).toMatchObject({ write: 1 });
  });

  test("one that wants what the client has takes three", async () => {
    expect(await ask(...behind(0))).toMatchObject({ rounds: 3, requests: 4, indexCount: 0 });
  });

  test("the packs are as those from all objects", async () => {
    for (const count of [1, 2, 7, 25, COMMITS - 1]) {
      await keepAllRecent();
      const recent = await ask(...behind(count));
      expect(recent.indexCount).toBe(0);
      await dropRecent();
      const full = await ask(...behind(count));
      expect(full.indexCount).toBe(2 * (PACKS + 1));
      expect(objectCountOf(recent.bytes)).toBe(objectCountOf(full.bytes));
      expect(recent.bytes.length).toBeLessThanOrEqual(full.bytes.length * 1.05);
    }
    await keepAllRecent();
  });

  test.each([
    ["an object that is no tip", () => [`want ${line[1]}`, `have ${line[3]}`, "done"]],
    ["a clone of a depth", () => [`want ${line[0]}`, "deepen 1", "done"]],
    ["a shallow client", () => [`want ${line[0]}`, `have ${line[2]}`, `shallow ${line[2]}`, "done"]],
    ["a filter", () => [`want ${line[0]}`, `have ${line[2]}`, "filter blob:none", "done"]],
    ["a client that has nothing of it", () => [`want ${sideId}`, `have ${"1".repeat(40)}`, "done"]],
  ])("%s needs all objects", async (_, lines) => {
    const { text, indexCount } = await ask(...lines());
    expect(text).toContain("PACK");
    expect(indexCount).toBeGreaterThan(0);
  });

  test("what others publish meanwhile is not answered from them", async () => {
    const repository = await openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
    const { refs, ...manifest } = repository.manifest;
    const other = {
      uuid: RIG_UUID,
      manifest: { ...manifest, refs: { ...refs, snapshotId: "1".repeat(40) } },
    };
    expect(recentKey(other)).not.toBe(recentKey(repository));
  });
});

describe("where only some of it is recent", () => {
  beforeAll(() => keepRecent({ maxObjects: 60 }));

  test("whatever byte of them is damaged, the answer comes from all objects", {
    timeout: 120_000,
  }, async () => {
    const repository = await openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
    const key = recentKey(repository);
    const { bytes } = await blobs.read(key);
    const signal = new AbortController().signal;
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = (damaged[at] as number) ^ 0x10;
      await blobs.write(key, damaged);
      const storage = {
        store: blobs,
        blocks: new BlockCache(blobs),
        onDamage: (error: unknown) => void damage.push(error),
      };
      const reader = (await openRepository(storage, RIG_UUID)).forReader(signal);
      expect(await reader.openRecent(), `${at}`).toBeUndefined();
    }
    expect(damage).toHaveLength(bytes.length);
    expect(damage.every((error) => error instanceof CorruptPackError)).toBe(true);
    const { text, indexCount } = await ask(...behind(1));
    expect(text).toContain("PACK");
    expect(indexCount).toBeGreaterThan(0);
    await blobs.write(key, bytes);
  });

  test("a client that is far behind is answered from all objects", async () => {
    expect((await ask(...behind(1))).indexCount).toBe(0);
    const { text, indexCount } = await ask(...behind(50));
    expect(text).toContain("PACK");
    expect(indexCount).toBeGreaterThan(0);
  });

  test("a client that has a branch that is left out is answered from all objects, one that has a foreign commit is not", async () => {
    expect((await ask(...behind(1), `have ${"2".repeat(40)}`)).indexCount).toBe(0);
    expect((await ask(...behind(1), `have ${oldSideId}`)).indexCount).toBeGreaterThan(0);
  });

  test("a branch that is left out is answered from all objects", async () => {
    const { text, indexCount } = await ask(`want ${oldSideId}`, `have ${line[0]}`, "done");
    expect(text).toContain("PACK");
    expect(indexCount).toBeGreaterThan(0);
  });

  test("a client that has to come again hears of all its haves", async () => {
    const { text } = await ask(`want ${sideId}`, `have ${line.at(-3)}`, "wait-for-done");
    expect(text).toContain(`ACK ${line.at(-3)}`);
  });
});

describe("where packs have a sidecar of newest entries", () => {
  let sidecars: string[];

  beforeAll(async () => {
    await dropRecent();
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    const keys = await Array.fromAsync(blobs.list(repositoryKeys(RIG_UUID).packFolder), ({ key }) => key);
    sidecars = keys.filter((key) => key.includes(".newest-"));
  });

  const sidecarBytes = async () => Promise.all(sidecars.map(async (key) => (await blobs.read(key)).bytes));

  test("a fetch reads entries out of it, and the answer is the same", async () => {
    expect(sidecars).toHaveLength(PACKS + 1);
    const placed = await ask(...behind(25));
    expect(placed).toMatchObject({ rounds: 4, indexCount: 0 });
    expect(placed.rangeKeys.filter((key) => sidecars.includes(key))).not.toEqual([]);
    await dropRecent();
    await keepRecent({ maxHeldBytes: 2000 });
    const unplaced = await ask(...behind(25));
    expect(unplaced.rangeKeys.filter((key) => sidecars.includes(key))).toEqual([]);
    expect(placed.bytes).toEqual(unplaced.bytes);
  });

  test("they are written once", async () => {
    const counting = new CountingBlobStore(blobs);
    const repository = await openRepository({ store: counting, blocks: new BlockCache(counting) }, RIG_UUID);
    const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
    counting.reset();
    const chosen = { objects, refList, maxHeldBytes: 0, minPlacedPackBytes: 0 };
    await writeRecentObjects(counting, repository, chosen);
    // The heads of all at once.
    expect(counting.counts()).toMatchObject({ readUpTo: PACKS + 1, write: 1, rounds: 2 });
  });

  test("a writer that comes second uses the sidecars of the first, and the answer is the same", async () => {
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    const { bytes: answer } = await ask(...behind(7));
    for (const key of sidecars) await blobs.delete(key);
    let ofFirst: Uint8Array[] | undefined;
    const late = new Proxy(blobs, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return async (...args: readonly unknown[]) => {
          if (name === "write" && ofFirst === undefined) {
            await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
            ofFirst = await sidecarBytes();
          }
          return value.apply(target, args);
        };
      },
    });
    const repository = await openRepository({ store: blobs, blocks: new BlockCache(blobs) }, RIG_UUID);
    const [objects, refList] = await Promise.all([repository.openObjects(), repository.readRefs()]);
    const chosen = { objects, refList, maxObjects: 200, maxHeldBytes: 0, minPlacedPackBytes: 0 };
    await writeRecentObjects(late, repository, chosen);
    expect(ofFirst).toHaveLength(PACKS + 1);
    expect(await sidecarBytes()).toEqual(ofFirst);
    expect((await ask(...behind(7))).bytes).toEqual(answer);
    expect(damage).toEqual([]);
  });

  test("damaged entries are replaced by the next writer that checks them, a damaged table by any", async () => {
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    const whole = await sidecarBytes();
    const [key = ""] = sidecars;
    const bytes = whole[0] as Uint8Array;
    await blobs.write(key, Buffer.from(bytes).fill(0, newestTableBytes(Buffer.from(bytes).readUInt32LE(8))));
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0, checksEntries: true });
    expect(await sidecarBytes()).toEqual(whole);
    await blobs.write(key, bytes.with(20, (bytes[20] as number) ^ 0x10));
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    expect(await sidecarBytes()).toEqual(whole);
  });

  test("all that are missing or damaged cost two rounds and no more than twice the requests; damage is reported once for each", async () => {
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    const placed = await ask(...behind(50));
    const whole = await Promise.all(sidecars.map(async (key) => ({ key, ...(await blobs.read(key)) })));
    for (const { key } of whole) await blobs.delete(key);
    const missing = await ask(...behind(50));
    expect(damage).toEqual([]);
    // All but the tables.
    for (const { key, bytes } of whole) {
      const tableBytes = newestTableBytes(Buffer.from(bytes).readUInt32LE(8));
      await blobs.write(key, Buffer.from(bytes).fill(0, tableBytes));
    }
    const damaged = await ask(...behind(50));
    expect(damage.length).toBeGreaterThan(0);
    expect(damage.length).toBeLessThanOrEqual(sidecars.length);
    for (const { bytes, rounds, requests } of [missing, damaged]) {
      expect(bytes).toEqual(placed.bytes);
      expect(rounds).toBeLessThanOrEqual(placed.rounds + 2);
      expect(requests).toBeLessThanOrEqual(2 * placed.requests);
    }
    for (const { key, bytes } of whole) await blobs.write(key, bytes);
  });

  test("whatever byte of one is damaged, or if it is lost, its pack is read", {
    timeout: 120_000,
  }, async () => {
    await keepRecent({ maxHeldBytes: 2000, minPlacedPackBytes: 0 });
    const { bytes: answer } = await ask(...behind(25));
    let damagedCount = 0;
    for (const key of sidecars) {
      const { bytes } = await blobs.read(key);
      for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 60)) {
        await blobs.write(key, bytes.with(at, (bytes[at] as number) ^ 0x10));
        damage.length = 0;
        expect((await ask(...behind(25))).bytes, `${key} ${at}`).toEqual(answer);
        damagedCount += Math.min(1, damage.length);
      }
      await blobs.delete(key);
      expect((await ask(...behind(25))).bytes).toEqual(answer);
      await blobs.write(key, bytes);
    }
    expect(damagedCount).toBeGreaterThan(10);
  });
});

function objectCountOf(answer: Uint8Array): number {
  const at = Buffer.from(answer).indexOf("PACK");
  return new DataView(answer.buffer, answer.byteOffset + at).getUint32(8);
}

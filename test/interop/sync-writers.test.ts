/** Two syncs of one repository at once: one may lose, nothing else may. */
import { describe, expect, test } from "vitest";
import { VersionConflictError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { BlobStore, WriteCondition } from "../../lib/store/blob-store.ts";
import { type SyncOutcome, syncRepository } from "../../lib/sync/sync-repository.ts";
import { expectSilentFsck, listRefs } from "../support/primary.ts";
import { useSyncRigs } from "../support/shared-set-ups.ts";
import { seededFaults } from "../support/store/blob-faults.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import {
  copyPrefix,
  expectCloneLikePrimary,
  expectNothingLeftOver,
  keysOf,
  RIG_UUID,
  type SyncRig,
  syncRig,
} from "../support/sync-rig.ts";

const { primary, rigOn } = useSyncRigs();

/** Each with a cache of its own, as in two processes. */
function writersOn(store: MemoryBlobStore, count: number): SyncRig[] {
  return Array.from({ length: count }, () => rigOn(store));
}

/** The prefix copied to a disk; git has checked it. */
async function checkedCopy(store: MemoryBlobStore): Promise<string> {
  const copy = primary.newPath();
  await copyPrefix(store, repositoryKeys(RIG_UUID).prefix, copy);
  await expectSilentFsck(copy);
  return copy;
}

const generationsOf = (outcomes: readonly SyncOutcome[]) =>
  outcomes.flatMap((outcome) => (outcome.kind === "published" ? [outcome.generation] : []));

describe.each([1, 2, 3, 4])("with delays of seed %i", (seed) => {
  test("writers of a first generation and of later ones end with the primary's refs", async () => {
    const store = new MemoryBlobStore({ faults: seededFaults(seed, { maxDelayMs: 8 }) });
    const writers = writersOn(store, 2);
    const published: number[] = [];
    for (let round = 0; round < 4; round++) {
      await primary.commit("main", `round-${round}.txt`, `${round}\n`.repeat(300));
      const syncs = writers.map((writer) => writer.sync());
      // A push while both are under way.
      await primary.commit(`topic-${round}`, "topic.txt", `${round}\n`);
      published.push(...generationsOf(await Promise.all(syncs)));
      for (const writer of writers) published.push(...generationsOf([await writer.sync()]));
      const [writer] = writers;
      if (writer === undefined) throw new Error("there are two writers");
      await expectNothingLeftOver(writer);
      await expectCloneLikePrimary(writer, primary);
      await checkedCopy(store);
    }
    expect(writers.reduce((sum, writer) => sum + writer.lostRaceCount(), 0)).toBeGreaterThan(0);
    // Each generation once, none left out: no writer has overwritten another's.
    expect(published.toSorted((a, b) => a - b)).toEqual(published.map((_, i) => i + 1));
  });
});

test("refs that a slower writer listed earlier never replace newer ones", async () => {
  const store = new MemoryBlobStore();
  const [slow, fast] = writersOn(store, 2);
  if (slow === undefined || fast === undefined) throw new Error("there are two writers");
  await fast.sync();
  await primary.commit("main", "older.txt", "older\n");
  const upstream = slow.upstream();
  const listed = await upstream.listRefs();
  await primary.commit("main", "newer.txt", "newer\n");
  let listCount = 0;
  const late = {
    ...upstream,
    listRefs: async () => {
      listCount += 1;
      if (listCount > 1) return upstream.listRefs();
      const opened = await fast.manifest();
      expect(opened.generation).toBe(1);
      await fast.sync();
      return listed;
    },
  };
  expect(await slow.sync(late)).toMatchObject({ kind: "unchanged", generation: 2 });
  expect(listCount).toBe(2);
  await expectNothingLeftOver(slow);
  await expectCloneLikePrimary(slow, primary);
  expect(await listRefs(await checkedCopy(store))).toBe(await listRefs(primary.repository));
});

test("a publish whose answer is lost and that is repeated below the store keeps its pack", async () => {
  const { manifest } = repositoryKeys(RIG_UUID);
  let isLosing = false;
  const store = new MemoryBlobStore({
    faults: {
      after: ({ kind, key }) => {
        if (!isLosing || kind !== "write" || key !== manifest) return;
        isLosing = false;
        throw new VersionConflictError("blob has another version", { key });
      },
    },
  });
  const [writer] = writersOn(store, 1);
  if (writer === undefined) throw new Error("there is a writer");
  await writer.sync();
  await primary.commit("main", "second.txt", "second\n");
  isLosing = true;
  expect(await writer.sync()).toMatchObject({ kind: "unchanged", generation: 2 });
  expect(isLosing).toBe(false);
  await expectNothingLeftOver(writer);
  expect(await listRefs(await writer.serve())).toBe(await listRefs(primary.repository));
  await expectCloneLikePrimary(writer, primary);
});

test.each(Array.from({ length: 15 }, (_, i) => i + 1))(
  "a publish that conflicts with its own repetition, which lands %d calls later, keeps its pack",
  async (landsAfterCalls) => {
    const { manifest } = repositoryKeys(RIG_UUID);
    let isLosing = false;
    const store = new MemoryBlobStore({
      faults: {
        before: ({ kind, key }) => {
          if (!isLosing || kind !== "write" || key !== manifest) return undefined;
          isLosing = false;
          return { landsAfterCalls };
        },
      },
    });
    const [writer] = writersOn(store, 1);
    if (writer === undefined) throw new Error("there is a writer");
    for (const file of ["first.txt", "second.txt"]) {
      await primary.commit("main", file, `${file}\n`);
      isLosing = true;
      await writer.sync();
      expect(isLosing).toBe(false);
      for (const { id } of (await writer.manifest()).packs)
        expect(await keysOf(store)).toContain(repositoryKeys(RIG_UUID).pack(id));
    }
    expect(await listRefs(await writer.serve())).toBe(await listRefs(primary.repository));
  },
);

test("what a loser who was killed has left for copies is put right with the next time verified", async () => {
  const store = new MemoryBlobStore();
  const [writer] = writersOn(store, 1);
  if (writer === undefined) throw new Error("there is a writer");
  await writer.sync();
  const keys = repositoryKeys(RIG_UUID);
  await store.write(keys.head, new TextEncoder().encode("ref: refs/heads/lost\n"));
  await store.write(keys.packedRefs, new Uint8Array(0));
  const later = () => new Date(Date.now() + 60_000);
  const { storage } = writer;
  const options = { storage, upstream: writer.upstream(), log: SILENT_LOGGER, now: later };
  expect(await syncRepository(RIG_UUID, options)).toMatchObject({ kind: "unchanged", generation: 1 });
  expect(await listRefs(await checkedCopy(store))).toBe(await listRefs(primary.repository));
});

test("HEAD is written where it changes, or where a loser who was killed has left another one, or none is there", async () => {
  const memory = new MemoryBlobStore();
  const store = new CountingBlobStore(memory);
  const writer = syncRig(primary, store);
  await writer.sync();
  const keys = repositoryKeys(RIG_UUID);
  for (const left of ["ref: refs/heads/main\n", "ref: refs/heads/lost\n", undefined]) {
    if (left === undefined) await store.delete(keys.head);
    else await store.write(keys.head, new TextEncoder().encode(left));
    await primary.commit("main", `head-${left?.length}.txt`, "x\n");
    store.reset();
    await writer.sync();
    // packed-refs, HEAD and the mark again.
    expect(store.counts().write).toBe(left === "ref: refs/heads/main\n" ? 5 : 8);
    expect(await listRefs(await checkedCopy(memory))).toBe(await listRefs(primary.repository));
  }
  await writer.close();
});

test("no blob under a random name has a condition, which a repeated write would not meet", async () => {
  const conditional: string[] = [];
  const memory = new MemoryBlobStore();
  const store: BlobStore = Object.assign(Object.create(memory) as BlobStore, {
    startUpload: (key: string, condition?: object) => {
      if (condition !== undefined) conditional.push(key);
      return memory.startUpload(key);
    },
    write: (key: string, bytes: Uint8Array, condition?: WriteCondition) => {
      if (condition !== undefined) conditional.push(key);
      return memory.write(key, bytes, condition);
    },
    read: (key: string) => memory.read(key),
    readIfChanged: (key: string, version: string) => memory.readIfChanged(key, version),
  });
  const rig = syncRig(primary, store);
  await rig.sync();
  expect(conditional).toEqual([repositoryKeys(RIG_UUID).manifest]);
});

test("who loses every race gives up, and leaves nothing", async () => {
  const { manifest } = repositoryKeys(RIG_UUID);
  let isLosing = false;
  const store = new MemoryBlobStore({
    faults: {
      before: ({ kind, key }) => (isLosing && kind === "write" && key === manifest ? "lose-race" : undefined),
    },
  });
  const [writer] = writersOn(store, 1);
  if (writer === undefined) throw new Error("there is a writer");
  await writer.sync();
  const refs = await listRefs(await writer.serve());
  await primary.commit("main", "second.txt", "second\n");
  isLosing = true;
  await expect(writer.sync()).rejects.toBeInstanceOf(VersionConflictError);
  await expectNothingLeftOver(writer);
  expect(await listRefs(await writer.serve())).toBe(refs);
  expect(await listRefs(await checkedCopy(store))).toBe(refs);
  isLosing = false;
  await writer.sync();
  await expectCloneLikePrimary(writer, primary);
});

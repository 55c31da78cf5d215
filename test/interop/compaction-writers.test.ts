/** Compaction while others write, while it is read, while the store fails, and over damage: nothing is ever lost. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DamagedRepositoryError, StoppedError, VersionConflictError } from "../../lib/errors.ts";
import { type CompactionOutcome, compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import type { CompactionPolicy } from "../../lib/repo/compaction/policy.ts";
import { tidyRepository } from "../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { manifestDocument } from "../../lib/repo/manifest.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { expectWhole, tidy } from "../support/compaction-checks.ts";
import { BUT_THE_FIRST, EAGER, NO_MERGE } from "../support/compaction-policies.ts";
import { git } from "../support/git/run-git.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { type BlobCall, type BlobFaults, seededFaults } from "../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import {
  expectCloneLikePrimary,
  expectNothingLeftOver,
  RIG_UUID,
  type SyncRig,
  syncRig,
} from "../support/sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);
const HOUR_MS = 3_600_000;

let primary: Primary;
let store: MemoryBlobStore;
let rig: SyncRig;
/** What the store does to calls, if anything. */
let faults: BlobFaults;

beforeEach(async () => {
  primary = await startPrimary();
  faults = {};
  store = new MemoryBlobStore({
    faults: { before: (call) => faults.before?.(call), after: (call) => faults.after?.(call) },
  });
  rig = syncRig(primary, store);
  await rig.sync();
  await push(3);
});

afterEach(async () => {
  faults = {};
  await rig.close();
  await primary.close();
});

async function push(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const lines = Array.from({ length: 300 }, (_, line) => `line ${line} ${line % (i + 2)}\n`);
    await primary.commit("main", `dir/file-${i % 3}.txt`, lines.join(""));
    await rig.sync();
  }
}

async function forcePush(): Promise<string> {
  const lost = await primary.git("rev-parse", "main");
  await primary.git("update-ref", "refs/heads/main", "main~1");
  await rig.sync();
  return lost;
}

const compact = (policy: CompactionPolicy, signal?: AbortSignal): Promise<CompactionOutcome> =>
  compactRepository(RIG_UUID, { store, policy, signal });

const isManifestWrite = ({ kind, key }: BlobCall): boolean => kind === "write" && key === KEYS.manifest;

/** Does `what`, once, before the compaction's manifest is written. */
function beforePublishing(what: () => Promise<unknown>): void {
  faults = {
    before: async (call) => {
      if (!isManifestWrite(call)) return undefined;
      faults = {};
      await what();
      return undefined;
    },
  };
}

describe("a race", () => {
  test("with a sync: packs are merged all the same, and the new one comes after them", async () => {
    await push(1);
    beforePublishing(() => push(1));
    expect(await compact(EAGER)).toMatchObject({ kind: "compacted", generation: 7 });
    const { packs, generation } = await rig.manifest();
    expect(generation).toBe(7);
    expect(packs).toHaveLength(2);
    await expectWhole(rig, primary);
  });

  test("with a sync that brings back what is being dropped: nothing is dropped", async () => {
    const lost = await forcePush();
    beforePublishing(async () => {
      await primary.git("update-ref", "refs/heads/back", lost);
      await rig.sync();
    });
    expect(await compact(NO_MERGE)).toEqual({ kind: "race-lost" });
    await expectNothingLeftOver(rig);
    await expectWhole(rig, primary);
    expect(await primary.git("rev-parse", "back")).toBe(lost);
  });

  test("with a sync that only verifies: what was to be dropped is", async () => {
    await forcePush();
    beforePublishing(async () => {
      const verifiedAt = new Date(0).toISOString();
      await manifestDocument(store, RIG_UUID).change((manifest) => manifest && { ...manifest, verifiedAt });
    });
    expect(await compact(NO_MERGE)).toMatchObject({ kind: "compacted" });
    expect(await rig.manifest()).toMatchObject({
      mayHoldUnreachable: false,
      verifiedAt: new Date(0).toISOString(),
    });
    await expectWhole(rig, primary);
  });

  test("with another compaction: one of them wins", async () => {
    let other: CompactionOutcome | undefined;
    beforePublishing(async () => {
      other = await compact(EAGER);
    });
    expect(await compact(EAGER)).toEqual({ kind: "race-lost" });
    expect(other).toMatchObject({ kind: "compacted" });
    await expectWhole(rig, primary);
  });

  test("with its own write, whose answer was lost and that was repeated below the store", async () => {
    faults = {
      after: (call) => {
        if (!isManifestWrite(call)) return;
        faults = {};
        throw new VersionConflictError("blob has another version", { key: KEYS.manifest });
      },
    };
    expect(await compact(EAGER)).toMatchObject({ kind: "compacted", generation: 5 });
    await expectWhole(rig, primary);
  });

  test.each([1, 3, 8])("with its own write, which lands %d calls later", async (landsAfterCalls) => {
    faults = {
      before: (call) => {
        if (!isManifestWrite(call)) return undefined;
        faults = {};
        return { landsAfterCalls };
      },
    };
    await compact(EAGER);
    const { packs } = await rig.manifest();
    expect(packs).toHaveLength(1);
    await expectCloneLikePrimary(rig, primary);
    await push(1);
    await expectWhole(rig, primary);
  });

  test.each([1, 2, 3])(
    "of syncs and compactions with delays of seed %d ends with the primary",
    async (seed) => {
      faults = seededFaults(seed, { maxDelayMs: 4 });
      const other = syncRig(primary, store);
      for (let round = 0; round < 4; round++) {
        await primary.commit("main", `round-${round}.txt`, `${round}\n`.repeat(200));
        if (round % 2 === 1) await primary.git("update-ref", "refs/heads/main", "main~2");
        await Promise.all([rig.sync(), compact(BUT_THE_FIRST), other.sync(), compact(NO_MERGE)]);
        await rig.sync();
      }
      faults = {};
      await compact(EAGER);
      await expectWhole(rig, primary);
      await other.close();
    },
  );
});

describe("a failing store", () => {
  test("at any call: the generation before stays whole, and the next try succeeds", async () => {
    await forcePush();
    const before = await rig.manifest();
    for (let failing = 1; ; failing++) {
      let calls = 0;
      faults = {
        before: () => {
          calls += 1;
          if (calls === failing) throw new Error(`call ${failing} fails`);
          return undefined;
        },
      };
      const outcome = await compact(EAGER).catch((error: unknown) => error);
      faults = {};
      if (!(outcome instanceof Error)) {
        expect(failing).toBeGreaterThan(10);
        break;
      }
      expect(await rig.manifest(), `call ${failing}`).toEqual(before);
    }
    await expectWhole(rig, primary);
  });

  test("whose answer to the last write is lost: the new generation is whole", async () => {
    faults = {
      after: (call) => {
        if (!isManifestWrite(call)) return;
        faults = {};
        throw new Error("the answer is lost");
      },
    };
    await expect(compact(EAGER)).rejects.toThrow("the answer is lost");
    await expectWhole(rig, primary);
  });
});

test.each([1, 2, 3])("aborted at write %d it leaves nothing behind", async (last) => {
  const before = await rig.manifest();
  const stop = new AbortController();
  let writes = 0;
  faults = {
    before: ({ kind }) => {
      if (kind === "write" || kind === "part") writes += 1;
      if (writes === last) stop.abort();
      return undefined;
    },
  };
  await expect(compact(EAGER, stop.signal)).rejects.toThrow(StoppedError);
  faults = {};
  expect(await rig.manifest()).toEqual(before);
  await expectNothingLeftOver(rig);
});

describe("damage", () => {
  test.each([
    ["an entry of the first pack", 0, "pack", 0.5],
    ["an entry of a thin pack", 2, "pack", 0.5],
    ["the last pack", 3, "pack", 0.1],
    ["an index", 1, "packIndex", 0.5],
    ["a history", 1, "packHistory", 0.5],
  ] as const)("in %s is reported, and nothing is changed", async (_name, packNumber, kind, place) => {
    const { packs } = await rig.manifest();
    const key = KEYS[kind](packs[packNumber]?.id ?? "");
    const { bytes } = await store.read(key);
    const at = Math.floor(bytes.length * place);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    await store.write(key, bytes);
    const before = (await store.read(KEYS.manifest)).version;
    await expect(compact(EAGER)).rejects.toThrow(DamagedRepositoryError);
    expect((await store.read(KEYS.manifest)).version).toBe(before);
    await expectNothingLeftOver(rig);
  });
});

test("a reader under way finishes its clone over compaction and janitor", async () => {
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID);
  const lateRepository = await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID);
  const streams = repository.packBodies.map(({ stream, packBytes }) =>
    stream(0, packBytes)[Symbol.asyncIterator](),
  );
  await streams[0]?.next();
  expect(await compact(EAGER)).toMatchObject({ kind: "compacted" });
  const report = await tidyRepository(RIG_UUID, { store });
  // Each of the four packs with what belongs to it, and the snapshots of three older generations.
  expect(report).toMatchObject({ removedBlobs: 0, waitingBlobs: 4 * 3 + 3 });
  const soon = () => new Date(Date.now() + 23 * HOUR_MS);
  expect(await tidyRepository(RIG_UUID, { store, now: soon })).toMatchObject({ removedBlobs: 0 });
  for (const stream of streams) while (!(await stream.next()).done);
  // And one that had read nothing but the manifest.
  await lateRepository.readRefs();
  const objects = await lateRepository.openObjects();
  for (const number of objects.packs.allObjects()) await objects.read(number);
  const later = () => new Date(Date.now() + 25 * HOUR_MS);
  expect(await tidyRepository(RIG_UUID, { store, now: later })).toMatchObject({
    removedBlobs: 4 * 3 + 3,
    waitingBlobs: 0,
  });
  await store.delete(KEYS.janitorNotes);
  await expectNothingLeftOver(rig);
});

test("git fetches from a mirror that is compacted and tidied between its requests", async () => {
  const clone = primary.newPath();
  const url = await rig.serve();
  await git(["clone", "--quiet", "--mirror", url, clone]);
  for (let round = 0; round < 3; round++) {
    await push(1);
    await compact(EAGER);
    await tidy(store);
    await git(["fetch", "--quiet"], { cwd: clone });
    expect(await git(["rev-parse", "main"], { cwd: clone })).toBe(await primary.git("rev-parse", "main"));
  }
});

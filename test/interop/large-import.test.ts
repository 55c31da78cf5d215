/** The first sync of a large repository, in slices: what was kept is gone on with, whatever became of the primary or of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RenamedError, StoppedError, UnfinishedError, VersionConflictError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { importNotes } from "../../lib/repo/import-notes.ts";
import { tidyRepository } from "../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { DEFAULT_SLICE_LIMITS } from "../../lib/sync/slice-size.ts";
import { DEFAULT_SYNC_LIMITS } from "../../lib/sync/sync-context.ts";
import { type SyncOptions, syncRepository } from "../../lib/sync/sync-repository.ts";
import { expectWhole, tidy } from "../support/compaction-checks.ts";
import { makeLargeRepository } from "../support/git/large-repository.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import {
  expectCloneLikePrimary,
  expectNothingLeftOver,
  keysOf,
  RIG_UUID,
  type SyncRig,
  syncRig,
} from "../support/sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);

const rigs: SyncRig[] = [];
let primary: Primary;

function rigOn(store: BlobStore): SyncRig {
  const rig = syncRig(primary, store);
  rigs.push(rig);
  return rig;
}

describe("in slices", () => {
  const LIMITS = {
    ...DEFAULT_SYNC_LIMITS,
    sliceAboveBytes: 1_200_000,
    noteAboveBytes: 1_200_000,
    slices: { ...DEFAULT_SLICE_LIMITS, firstShare: 1 / 32, minBytes: 10_000 },
  };
  let rig: SyncRig;

  beforeEach(async () => {
    primary = await startPrimary({
      make: (path) => makeLargeRepository(path, { commitCount: 120, fileBytes: 30_000 }),
    });
    rig = rigOn(new MemoryBlobStore());
  });
  afterEach(close);

  const sync = (options: Partial<SyncOptions> = {}) => {
    const { storage } = rig;
    const upstream = rig.upstream();
    const sized = { expectedBytes: 3_600_000, limits: LIMITS };
    return syncRepository(RIG_UUID, { storage, upstream, log: SILENT_LOGGER, ...sized, ...options });
  };
  const gitRequests = () => primary.fake.controls.requests.map(({ method }) => method).join(" ");
  const notes = async () => (await importNotes(rig.storage.store, KEYS).read()).value;

  /** Ends the sync after so many slices. */
  async function syncSlices(count: number, options: Partial<SyncOptions> = {}): Promise<void> {
    const stop = new AbortController();
    let slices = 0;
    const info = (event: string) => {
      if (event === "import:slice" && ++slices === count) setImmediate(() => stop.abort());
    };
    await expect(
      sync({ ...options, log: { ...SILENT_LOGGER, info }, signal: stop.signal }),
    ).rejects.toBeInstanceOf(UnfinishedError);
    expect(slices).toBeGreaterThanOrEqual(count);
  }

  test("one after the other, each over those before; the repository is like any other", async () => {
    expect(await sync()).toMatchObject({ kind: "published", generation: 1 });
    expect((await rig.manifest()).packs.length).toBeGreaterThan(8);
    expect(await rig.manifest()).toMatchObject({ mayHoldUnreachable: false });
    await expectWhole(rig, primary);
  });

  test("a small repository, or one of unknown size, takes one fetch", async () => {
    for (const expectedBytes of [undefined, 1_199_999]) {
      rig = rigOn(new MemoryBlobStore());
      primary.fake.controls.clearRequests();
      await sync({ expectedBytes });
      expect(gitRequests()).toBe("GET POST POST");
      await expectNothingLeftOver(rig);
    }
  });

  test("one of unknown size that turns out to be large is fetched in slices once the fetch was cut", async () => {
    primary.fake.controls.misbehave({ appliesTo: "git", cutAfterBytes: 2_500_000 });
    await expect(sync({ expectedBytes: undefined })).rejects.toMatchObject({ code: "UPSTREAM" });
    primary.fake.controls.behave();
    expect(await notes()).toMatchObject({ doneSteps: 0, packs: [] });
    await sync({ expectedBytes: undefined });
    expect((await rig.manifest()).packs.length).toBeGreaterThan(3);
    await expectNothingLeftOver(rig);
    await expectCloneLikePrimary(rig, primary);
  });

  test("stopped and gone on with: the branch moved, one is gone, one is new", async () => {
    await syncSlices(3);
    const before = await notes();
    expect(before?.packs.length).toBeGreaterThanOrEqual(3);
    await primary.commit("main", "new.txt", "new\n");
    await primary.git("update-ref", "-d", "refs/heads/side-0");
    await primary.git("update-ref", "refs/heads/main", "main~30");
    await primary.commit("other", "other.txt", "other\n");
    await sync();
    const { packs, mayHoldUnreachable } = await rig.manifest();
    expect(packs.slice(0, before?.packs.length)).toEqual(before?.packs);
    expect(mayHoldUnreachable).toBe(true);
    await expectCloneLikePrimary(rig, primary);
    await expectNothingLeftOver(rig);
  });

  test("what was to come is gone from the primary: the rest is planned anew", async () => {
    await syncSlices(2);
    const kept = (await notes())?.packs.length ?? 0;
    await primary.git("update-ref", "refs/heads/main", "main~60");
    for (const ref of (await primary.git("for-each-ref", "--format=%(refname)")).split("\n"))
      if (ref !== "refs/heads/main") await primary.git("update-ref", "-d", ref);
    await primary.git("reflog", "expire", "--expire=now", "--all");
    await primary.git("gc", "--quiet", "--prune=now");
    await sync();
    expect((await rig.manifest()).packs.length).toBeGreaterThan(kept);
    await expectCloneLikePrimary(rig, primary);
    await expectNothingLeftOver(rig);
  });

  test("a name that means another repository by now: nothing is fetched under it", async () => {
    const confirm = async () => {
      throw new RenamedError("the name means another repository by now");
    };
    await expect(sync({ confirm })).rejects.toBeInstanceOf(RenamedError);
    expect(gitRequests()).toBe("GET POST");
    expect(await keysOf(rig.storage.store)).toEqual([]);
  });

  test("stopped before anything was kept, it fails like any other sync", async () => {
    const stop = new AbortController();
    const info = (event: string) => {
      if (event === "import:planned") stop.abort();
    };
    const failure = await sync({ log: { ...SILENT_LOGGER, info }, signal: stop.signal }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(StoppedError);
    expect(failure).not.toBeInstanceOf(UnfinishedError);
  });

  test("notes that cannot be taken away fail no sync that is published", async () => {
    const { store } = rig.storage;
    const failing = Object.assign(Object.create(store) as BlobStore, {
      write: async (...args: Parameters<BlobStore["write"]>) => {
        if (new TextDecoder().decode(args[1]).includes("tombstone"))
          throw new Error(`cannot write ${args[0]}`);
        return store.write(...args);
      },
    });
    for (const name of ["read", "readIfChanged", "readUpTo", "delete", "startUpload"] as const)
      Object.assign(failing, { [name]: store[name].bind(store) });
    const storage = { store: failing, blocks: rig.storage.blocks };
    expect(await sync({ storage })).toMatchObject({ kind: "published", generation: 1 });
    const { packs } = await rig.manifest();
    const kept = (await notes())?.packs ?? [];
    expect(kept.length).toBeGreaterThan(1);
    expect(packs.slice(0, kept.length)).toEqual(kept);
    await tidy(store);
    expect(await notes()).toBeUndefined();
    await expectWhole(rig, primary);
  });

  test("a slice that was cut makes the next ones smaller", async () => {
    await syncSlices(1);
    const { sliceBytes = 0, underWay } = (await notes()) ?? {};
    expect(underWay).toBeGreaterThan(0);
    await syncSlices(1);
    expect((await notes())?.sliceBytes).toBe(Math.ceil(sliceBytes / 2));
  });

  test("the janitor keeps what is here of an import", async () => {
    await syncSlices(2);
    const { packs = [] } = (await notes()) ?? {};
    const packKeys = () => keysOf(rig.storage.store, KEYS.packFolder);
    await tidy(rig.storage.store);
    expect(await packKeys()).toEqual(expect.arrayContaining(packs.map(({ id }) => KEYS.pack(id))));
    await sync();
    await expectCloneLikePrimary(rig, primary);
  });

  test("what an abandoned import has left is deleted after a week", async () => {
    await syncSlices(2);
    for (const days of [8, 10])
      await tidyRepository(RIG_UUID, {
        store: rig.storage.store,
        now: () => new Date(Date.now() + days * 86_400_000),
      });
    expect(await keysOf(rig.storage.store, KEYS.packFolder)).toEqual([]);
    expect(await notes()).toBeUndefined();
    await sync();
    await expectCloneLikePrimary(rig, primary);
  });

  test("what was kept is lost: it begins anew", async () => {
    await syncSlices(2);
    const [pack] = (await notes())?.packs ?? [];
    await rig.storage.store.delete(KEYS.packIndex(pack?.id ?? ""));
    await sync();
    await expectCloneLikePrimary(rig, primary);
  });

  test.each([
    ["missing", undefined],
    ["broken", new Uint8Array(20_000)],
  ])("a pack that was kept is %s, though its index is there: it begins anew", async (_what, bytes) => {
    await syncSlices(3);
    for (const { id } of (await notes())?.packs ?? []) {
      if (bytes === undefined) await rig.storage.store.delete(KEYS.pack(id));
      else await rig.storage.store.write(KEYS.pack(id), bytes);
    }
    // What it remembers of blobs ends with the process.
    rig = rigOn(rig.storage.store);
    await sync();
    await expectCloneLikePrimary(rig, primary);
    await tidy(rig.storage.store);
    await expectWhole(rig, primary);
  });

  test("a slice whose note landed, though its answer was lost, and that another goes on from, is kept", async () => {
    let isDown = false;
    const store = new MemoryBlobStore();
    const losing = Object.assign(Object.create(store) as BlobStore, {
      write: async (...args: Parameters<BlobStore["write"]>) => {
        if (isDown) throw new Error("down");
        const version = await store.write(...args);
        if (args[0] !== KEYS.importNotes) return version;
        const stored = await importNotes(store, KEYS).read();
        const written = stored.value;
        if (written?.packs.length !== 2 || written.underWay !== undefined) return version;
        // The other begins with the next slice before the answer is asked for again.
        await importNotes(store, KEYS).write({ ...written, underWay: 1 }, stored);
        isDown = true;
        throw new VersionConflictError("blob has another version");
      },
    });
    for (const name of ["read", "readIfChanged", "readUpTo", "delete", "startUpload", "list"] as const)
      Object.assign(losing, { [name]: store[name].bind(store) });
    rig = rigOn(store);
    await expect(sync({ storage: { store: losing, blocks: rig.storage.blocks } })).rejects.toThrow("down");
    const kept = (await notes())?.packs.flatMap(({ id }) => [KEYS.pack(id), KEYS.packIndex(id)]);
    expect(kept).toHaveLength(4);
    expect(await keysOf(store, KEYS.packFolder)).toEqual(expect.arrayContaining(kept ?? []));
    await sync();
    await tidy(store);
    await expectWhole(rig, primary);
  });

  test("two at once: one gives way to the other, and both end with the primary's refs", async () => {
    const other = rigOn(rig.storage.store);
    const outcomes = await Promise.allSettled([
      sync(),
      sync({ storage: other.storage, upstream: other.upstream() }),
    ]);
    expect(outcomes.some(({ status }) => status === "fulfilled")).toBe(true);
    await sync();
    await tidy(rig.storage.store);
    await expectWhole(rig, primary);
  });
});

async function close(): Promise<void> {
  await Promise.all(rigs.splice(0).map((rig) => rig.close()));
  await primary.close();
}

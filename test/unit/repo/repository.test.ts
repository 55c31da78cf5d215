import { beforeEach, describe, expect, test } from "vitest";
import {
  CorruptPackError,
  DamagedRepositoryError,
  NotFoundError,
  StoredDocumentError,
  VersionConflictError,
} from "../../../lib/errors.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import type { RefList } from "../../../lib/git/ports.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { readName } from "../../../lib/repo/names.ts";
import { type NextGeneration, publish, writeManifest } from "../../../lib/repo/publish.ts";
import { openRepository, type Repository, type RepositoryStorage } from "../../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { textOf, utf8 } from "../../support/byte-chunks.ts";
import { writeName } from "../../support/named-repository.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000001";
const OTHER_UUID = "0a1b2c3d-0000-4000-8000-000000000002";
const ID = parseObjectId("a".repeat(40));
const KEYS = repositoryKeys(UUID);
const NEXT: NextGeneration = {
  head: { ref: "refs/heads/main" },
  refs: [{ name: "refs/heads/main", id: ID }],
  packs: [],
  mayHoldUnreachable: false,
  publishedAt: new Date("2026-01-02T03:04:05Z"),
  verifiedAt: new Date("2026-01-02T03:04:06Z"),
};

let store: CountingBlobStore;
let storage: RepositoryStorage;

beforeEach(() => {
  store = new CountingBlobStore(new MemoryBlobStore());
  storage = { store, blocks: new BlockCache(store) };
});

async function refsOf(repository: Repository): Promise<RefList> {
  const { head, refs } = await repository.readRefs();
  return { head, refs };
}

describe("publish", () => {
  test("writes a generation that can be opened, and the copies for git", async () => {
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    const repository = await openRepository(storage, UUID);
    expect(repository.manifest).toMatchObject({
      generation: 1,
      head: NEXT.head,
      packs: [],
      refs: { refCount: 1 },
    });
    expect(await refsOf(repository)).toEqual({ head: NEXT.head, refs: NEXT.refs });
    expect(textOf((await store.read(KEYS.head)).bytes)).toBe("ref: refs/heads/main\n");
    expect(textOf((await store.read(KEYS.packedRefs)).bytes)).toContain(`${ID} refs/heads/main\n`);
    expect((await store.read(KEYS.refsFolderMark)).bytes.length).toBe(0);
  });

  test("counts generations and keeps a detached HEAD", async () => {
    const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const second = await publish(store, UUID, first, { ...NEXT, head: { id: ID } });
    expect(second.value.generation).toBe(2);
    const repository = await openRepository(storage, UUID);
    expect(await refsOf(repository)).toEqual({ head: { id: ID }, refs: NEXT.refs });
    expect(textOf((await store.read(KEYS.head)).bytes)).toBe(`${ID}\n`);
  });

  test("of two over the same generation, one fails and the other stands", async () => {
    const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const winner = await publish(store, UUID, first, { ...NEXT, mayHoldUnreachable: true });
    await expect(publish(store, UUID, first, NEXT)).rejects.toThrow(VersionConflictError);
    await expect(publish(store, UUID, NO_DOCUMENT, NEXT)).rejects.toThrow(VersionConflictError);
    const repository = await openRepository(storage, UUID);
    expect(repository.manifest).toEqual(winner.value);
    expect(repository.version).toBe(winner.version);
  });

  test("refs for copies that the loser of a race has put over the winner's are put right", async () => {
    const faults: BlobFaults = {
      before: async ({ kind, key }) => {
        if (kind === "write" && key === KEYS.manifest)
          await memory.write(KEYS.head, utf8("ref: refs/heads/lost\n"));
        return undefined;
      },
    };
    const memory = new MemoryBlobStore({ faults });
    await publish(memory, UUID, NO_DOCUMENT, NEXT);
    expect(textOf((await memory.read(KEYS.head)).bytes)).toBe("ref: refs/heads/main\n");
  });

  test("a manifest replaces only the one that was read", async () => {
    const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const manifest = { ...first.value, verifiedAt: "2026-02-02T00:00:00.000Z" };
    expect((await writeManifest(store, UUID, manifest, first)).value).toEqual(manifest);
    await expect(writeManifest(store, UUID, first.value, first)).rejects.toThrow(VersionConflictError);
  });

  test("the manifest is written last: until then the old generation stands", async () => {
    const written: string[] = [];
    const faults: BlobFaults = {
      before: ({ kind, key }) => {
        if (kind === "write") written.push(key);
        return undefined;
      },
    };
    await publish(new MemoryBlobStore({ faults }), UUID, NO_DOCUMENT, NEXT);
    expect(written.length).toBe(5);
    expect(written.at(-1)).toBe(KEYS.manifest);
  });
});

describe("open", () => {
  test("takes one request cold, one more for the refs, and one conditional request warm", async () => {
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    store.reset();
    const cold = await openRepository(storage, UUID);
    await cold.readRefs();
    expect(store.counts()).toMatchObject({ requests: 2, rounds: 2 });
    store.reset();
    const warm = await openRepository(storage, UUID, { known: cold });
    await warm.readRefs();
    expect(warm).toBe(cold);
    expect(store.counts()).toMatchObject({ requests: 1, readIfChanged: 1 });
  });

  test("takes one round cold for manifest and refs, if they will be asked for", async () => {
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    store.reset();
    const repository = await openRepository(storage, UUID, { withRefs: true });
    expect((await repository.readRefs()).refs).toEqual(NEXT.refs);
    expect(store.counts()).toMatchObject({ requests: 2, rounds: 1 });
  });

  test.each([
    ["are of another generation", utf8("# pack-refs with: peeled fully-peeled sorted \n")],
    ["are broken", utf8("x")],
    ["are gone", undefined],
  ])("reads the manifest's own refs where the ones for copies %s", async (_, bytes) => {
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    if (bytes === undefined) await store.delete(KEYS.packedRefs);
    else await store.write(KEYS.packedRefs, bytes);
    store.reset();
    const repository = await openRepository(storage, UUID, { withRefs: true });
    expect((await repository.readRefs()).refs).toEqual(NEXT.refs);
    expect(store.counts()).toMatchObject({ requests: 3, rounds: 2 });
  });

  test("sees what was published since", async () => {
    const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const known = await openRepository(storage, UUID);
    await publish(store, UUID, first, { ...NEXT, refs: [] });
    const newer = await openRepository(storage, UUID, { known });
    expect(newer.manifest.generation).toBe(2);
    expect((await newer.readRefs()).refs).toEqual([]);
    expect((await known.readRefs()).refs).toEqual(NEXT.refs);
  });

  test("keeps what it has read when only the time verified is new", async () => {
    const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const known = await openRepository(storage, UUID);
    await Promise.all([known.readRefs(), known.openObjects()]);
    await writeManifest(store, UUID, { ...first.value, verifiedAt: "2026-02-02T00:00:00Z" }, first);
    store.reset();
    const newer = await openRepository(storage, UUID, { known });
    expect(newer.manifest.verifiedAt).toBe("2026-02-02T00:00:00Z");
    expect(await newer.openObjects()).toBe(await known.openObjects());
    expect(await newer.readRefs()).toBe(await known.readRefs());
    expect(store.counts()).toMatchObject({ requests: 1, rounds: 1 });
  });

  test("what was never published is not found; what is broken is corrupt", async () => {
    await expect(openRepository(storage, UUID)).rejects.toThrow(NotFoundError);
    await store.write(KEYS.manifest, utf8("{}"));
    await expect(openRepository(storage, UUID)).rejects.toThrow(CorruptPackError);
  });

  test("a failed read of the refs is tried again", async () => {
    const { value: manifest } = await publish(store, UUID, NO_DOCUMENT, NEXT);
    const key = KEYS.refSnapshot(manifest.refs.snapshotId);
    const { bytes } = await store.read(key);
    await store.delete(key);
    const repository = await openRepository(storage, UUID);
    await expect(repository.readRefs()).rejects.toThrow(DamagedRepositoryError);
    await store.write(key, bytes);
    expect((await repository.readRefs()).refs).toEqual(NEXT.refs);
  });
});

describe("names", () => {
  test("lead to a uuid, whatever their case", async () => {
    await writeName(store, "Acme", "Widgets", UUID);
    expect(await readName(store, "acme", "WIDGETS")).toEqual({
      uuid: UUID,
      seenAt: expect.any(String),
      foundBy: "name",
      isPublic: false,
      isFormer: false,
    });
    expect(await readName(store, "acme", "gadgets")).toBeUndefined();
  });

  test.each(["..", ".", "", "a/b", "a b", "é", "a\0"])("%j is no name", async (slug) => {
    await expect(writeName(store, "acme", slug, UUID)).rejects.toThrow(RangeError);
    store.reset();
    expect(await readName(store, "acme", slug)).toBeUndefined();
    expect(store.counts().requests).toBe(0);
  });

  test.each(["{", "{}", '{"uuid":"x"}'])("%j in a name's place is corrupt", async (text) => {
    await store.write("names/acme/widgets.json", utf8(text));
    await expect(readName(store, "acme", "widgets")).rejects.toThrow(StoredDocumentError);
  });
});

describe("the catalog", () => {
  test("asks for the manifest only when it knows the name, and after 15 s for both at once", async () => {
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    await writeName(store, "acme", "widgets", UUID);
    let nowMs = 0;
    const catalog = new RepositoryCatalog(storage, { nowMs: () => nowMs });
    const first = await catalog.resolve("acme", "widgets");
    for (const [atMs, requests] of [
      [14_999, 1],
      [15_000, 2],
      [29_999, 1],
      [30_000, 2],
    ] as const) {
      nowMs = atMs;
      store.reset();
      expect(await catalog.resolve("acme", "widgets")).toBe(first);
      expect(store.counts()).toMatchObject({ requests, readIfChanged: 1, rounds: 1 });
    }
  });

  test("follows a name that another repository has taken, within 15 s", async () => {
    let nowMs = 0;
    const catalog = new RepositoryCatalog(storage, { nowMs: () => nowMs });
    for (const uuid of [UUID, OTHER_UUID]) {
      await publish(store, uuid, NO_DOCUMENT, NEXT);
      await writeName(store, "acme", "widgets", uuid);
      nowMs += 15_000;
      expect((await catalog.resolve("acme", "widgets"))?.uuid).toBe(uuid);
    }
  });

  test("asks for the name again where what it meant is gone", async () => {
    const catalog = new RepositoryCatalog(storage, { nowMs: () => 0 });
    for (const uuid of [UUID, OTHER_UUID]) {
      await publish(store, uuid, NO_DOCUMENT, NEXT);
      await writeName(store, "acme", "widgets", uuid);
      expect((await catalog.resolve("acme", "widgets"))?.uuid).toBe(uuid);
      await store.delete(repositoryKeys(uuid).manifest);
    }
    expect(await catalog.resolve("acme", "widgets")).toBeUndefined();
  });

  test("knows neither unknown names nor repositories that were never published", async () => {
    const catalog = new RepositoryCatalog(storage);
    expect(await catalog.resolve("acme", "widgets")).toBeUndefined();
    await writeName(store, "acme", "widgets", UUID);
    expect(await catalog.resolve("acme", "widgets")).toBeUndefined();
    await publish(store, UUID, NO_DOCUMENT, NEXT);
    expect((await catalog.resolve("acme", "widgets"))?.uuid).toBe(UUID);
  });

  test("keeps small ones open beside each other", async () => {
    const catalog = new RepositoryCatalog(storage);
    const sizes = { packBytes: 40, indexBytes: 1_000, objectCount: 0, sentObjectCount: 0, sentEndBytes: 20 };
    const packs = [{ id: "c".repeat(40), repeatedObjectCount: 0, ...sizes }];
    for (const uuid of [UUID, OTHER_UUID]) await publish(store, uuid, NO_DOCUMENT, { ...NEXT, packs });
    const first = await catalog.open(UUID);
    expect(await catalog.open(UUID)).toBe(first);
    await catalog.open(OTHER_UUID);
    expect(await catalog.open(UUID)).toBe(first);
  });
});

/** What a generation takes over from the one before, and how copies of its refs are put right. */
import { expect, test } from "vitest";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { type NextGeneration, publish, writeManifest } from "../../../lib/repo/publish.ts";
import { openRepository } from "../../../lib/repo/repository.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { textOf } from "../../support/byte-chunks.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000001";
const KEYS = repositoryKeys(UUID);
const NEXT: NextGeneration = {
  head: { ref: "refs/heads/main" },
  refs: [{ name: "refs/heads/main", id: parseObjectId("a".repeat(40)) }],
  packs: [],
  mayHoldUnreachable: true,
  publishedAt: new Date("2026-01-02T03:04:05Z"),
  verifiedAt: new Date("2026-01-02T03:04:06Z"),
};

test("a publish over a compaction is the next generation, and keeps when the unreachable was dropped", async () => {
  const store = new MemoryBlobStore();
  const first = await publish(store, UUID, NO_DOCUMENT, NEXT);
  expect(first.value).not.toHaveProperty("unreachableDroppedAt");
  const dropped = {
    ...{ packs: [], mayHoldUnreachable: false },
    ...{ publishedAt: "2026-02-02T00:00:00.000Z", unreachableDroppedAt: "2026-02-02T00:00:00.000Z" },
  };
  const compacted = await writeManifest(store, UUID, { ...first.value, ...dropped, generation: 2 }, first);
  expect(compacted.value).toEqual({ ...first.value, ...dropped, generation: 2 });
  const next = await publish(store, UUID, compacted, NEXT);
  const { unreachableDroppedAt } = dropped;
  expect(next.value).toMatchObject({ generation: 3, mayHoldUnreachable: true, unreachableDroppedAt });
});

test("copies that go while the manifest is written are written again; a store that fails is no such case", async () => {
  let isBroken = false;
  const memory: MemoryBlobStore = new MemoryBlobStore({
    faults: {
      before: async ({ kind, key }) => {
        if (kind === "write" && key === KEYS.manifest) await memory.delete(KEYS.packedRefs);
        if (isBroken && kind === "read" && key === KEYS.head) throw new Error("the store is away");
        return undefined;
      },
    },
  });
  const first = await publish(memory, UUID, NO_DOCUMENT, NEXT);
  expect(textOf((await memory.read(KEYS.packedRefs)).bytes)).toContain("refs/heads/main\n");
  isBroken = true;
  await expect(publish(memory, UUID, first, NEXT)).rejects.toThrow("the store is away");
});

test("the tag of a detached HEAD and symbolic refs are kept, beside what older releases know", async () => {
  const store = new MemoryBlobStore();
  const refsNow = async () => {
    const repository = await openRepository({ store, blocks: new BlockCache(store) }, UUID);
    const { head, refs, symrefs } = await repository.readRefs();
    return { head, refs, ...(symrefs !== undefined && { symrefs }) };
  };
  const ID = parseObjectId("a".repeat(40));
  const TAG = parseObjectId("b".repeat(40));
  const next: NextGeneration = {
    ...{ ...NEXT, head: { id: TAG, peeledId: ID } },
    refs: [...NEXT.refs, { name: "refs/tags/v1", id: TAG, peeledId: ID }],
    symrefs: [
      { name: "refs/heads/z", target: "refs/heads/main" },
      { name: "refs/heads/alias", target: "refs/heads/main" },
    ],
  };
  const first = await publish(store, UUID, NO_DOCUMENT, next);
  const sorted = { head: next.head, refs: next.refs, symrefs: next.symrefs?.toReversed() };
  expect(await refsNow()).toEqual(sorted);
  expect(first.value.head).toEqual({ commitId: ID });
  expect(textOf((await store.read(KEYS.head)).bytes)).toBe(`${ID}\n`);
  // An older release's check keeps what it does not know of the refs, and its next generation does not.
  const strip = ({ value }: typeof first) => {
    const { headTagId: _tag, symrefs: _symrefs, ...refs } = value.refs;
    return { ...value, refs };
  };
  const older = { ...first, value: strip(first) };
  const verified = await writeManifest(store, UUID, older.value, older);
  expect(await refsNow()).toEqual(sorted);
  const refs = { ...older.value.refs, snapshotId: "c".repeat(40) };
  const { bytes } = await store.read(KEYS.refSnapshot(older.value.refs.snapshotId));
  await store.write(KEYS.refSnapshot(refs.snapshotId), bytes);
  await writeManifest(store, UUID, { ...older.value, refs }, { ...verified, value: older.value });
  expect(await refsNow()).toEqual({ head: { id: ID }, refs: next.refs });
});

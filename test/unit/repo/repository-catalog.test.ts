import { expect, test } from "vitest";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { publish } from "../../../lib/repo/publish.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUIDS = [1, 2].map((number) => `0a1b2c3d-0000-4000-8000-00000000000${number}`);

async function catalogOf(maxOpenBytes?: number) {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const now = new Date();
  for (const uuid of UUIDS) {
    await publish(store, uuid, NO_DOCUMENT, {
      head: { ref: "refs/heads/main" },
      refs: [{ name: "refs/heads/main", id: parseObjectId("a".repeat(40)) }],
      packs: [],
      mayHoldUnreachable: false,
      publishedAt: now,
      verifiedAt: now,
    });
  }
  const storage = { store, blocks: new BlockCache(store) };
  return { store, catalog: new RepositoryCatalog(storage, { ...(maxOpenBytes && { maxOpenBytes }) }) };
}

test.each([
  ["stay open within the limit", undefined, { read: 0, readIfChanged: 1 }],
  ["are closed above it", 1, { read: 1, readIfChanged: 0 }],
])("repositories used before %s", async (_, maxOpenBytes, counts) => {
  const { store, catalog } = await catalogOf(maxOpenBytes);
  for (const uuid of UUIDS) await catalog.open(uuid);
  store.reset();
  await catalog.open(UUIDS[0] ?? "");
  expect(store.counts()).toMatchObject(counts);
});

test("the repository used last stays open, however large", async () => {
  const { store, catalog } = await catalogOf(1);
  await catalog.open(UUIDS[0] ?? "");
  store.reset();
  await catalog.open(UUIDS[0] ?? "");
  expect(store.counts()).toMatchObject({ read: 0, readIfChanged: 1 });
});

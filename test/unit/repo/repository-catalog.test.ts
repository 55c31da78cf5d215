import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { publish } from "../../../lib/repo/publish.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUIDS = [1, 2].map((number) => `0a1b2c3d-0000-4000-8000-00000000000${number}`);

async function catalogOf(maxOpenBytes?: number, indexBytes?: number, faults?: BlobFaults) {
  const sizes = {
    packBytes: 40,
    objectCount: 0,
    sentObjectCount: 0,
    sentEndBytes: 20,
    repeatedObjectCount: 0,
  };
  const packs = indexBytes === undefined ? [] : [{ id: "c".repeat(40), indexBytes, ...sizes }];
  const store = new CountingBlobStore(new MemoryBlobStore(faults && { faults }));
  const now = new Date();
  for (const uuid of UUIDS) {
    await publish(store, uuid, NO_DOCUMENT, {
      head: { ref: "refs/heads/main" },
      refs: [{ name: "refs/heads/main", id: parseObjectId("a".repeat(40)) }],
      packs,
      mayHoldUnreachable: false,
      publishedAt: now,
      verifiedAt: now,
    });
  }
  const storage = { store, blocks: new BlockCache(store) };
  return { store, catalog: new RepositoryCatalog(storage, { ...(maxOpenBytes && { maxOpenBytes }) }) };
}

/** At the next chance: what is referred to weakly stays until the turn of the event loop ends. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  await sleep(1);
  runInNewContext("gc")();
  await sleep(1);
}

test.each([
  ["stay open within the limit", undefined, undefined, { read: 0, readIfChanged: 1 }],
  ["are closed above it", 1, undefined, { read: 1, readIfChanged: 0 }],
  ["are closed where they are large", undefined, 500_000_000, { read: 1, readIfChanged: 0 }],
])("repositories used before %s", async (_, maxOpenBytes, indexBytes, counts) => {
  const { store, catalog } = await catalogOf(maxOpenBytes, indexBytes);
  for (const uuid of UUIDS) await catalog.open(uuid);
  await collectGarbage();
  store.reset();
  await catalog.open(UUIDS[0] ?? "");
  expect(store.counts()).toMatchObject(counts);
});

test("what a request still uses is not opened a second time", async () => {
  const { store, catalog } = await catalogOf(1);
  const [first = "", second = ""] = UUIDS;
  const used = (await catalog.open(first))?.forReader(new AbortController().signal);
  await catalog.open(second);
  await collectGarbage();
  store.reset();
  const again = await catalog.open(first);
  expect(store.counts()).toMatchObject({ read: 0, readIfChanged: 1 });
  expect(await again?.readRefs()).toBe(await used?.readRefs());
});

test("requests that come together open a repository once, and each sees whether it is still true", async () => {
  const { store, catalog } = await catalogOf();
  store.reset();
  const opened = await Promise.all(Array.from({ length: 20 }, () => catalog.open(UUIDS[0] ?? "")));
  expect(new Set(opened).size).toBe(1);
  expect(store.counts()).toMatchObject({ read: 1, readIfChanged: 19 });
  await Promise.all(opened.map((repository) => repository?.readRefs()));
  expect(store.counts()).toMatchObject({ read: 2 });
});

test.each([
  ["that fails", async () => Promise.reject(new Error("broken connection")), 1],
  ["that stalls", () => new Promise<void>(() => undefined), 0],
])("an opening %s is made once more for all who wait for it", async (_, fault, failedCount) => {
  let isFaulty = false;
  const before: BlobFaults["before"] = async ({ kind, key }) => {
    if (!isFaulty || kind !== "read" || !key.endsWith("manifest.json")) return;
    isFaulty = false;
    await sleep(1);
    await fault();
  };
  const { store, catalog } = await catalogOf(undefined, undefined, { before });
  isFaulty = true;
  store.reset();
  let failed = 0;
  let opened = 0;
  const asked = Array.from({ length: 20 }, async () => {
    const repository = await catalog.open(UUIDS[0] ?? "").catch((error: unknown) => {
      expect(error).toMatchObject({ message: "broken connection" });
      return undefined;
    });
    if (repository === undefined) failed += 1;
    else opened += 1;
  });
  await Promise.all(asked.slice(1));
  expect(opened).toBe(19);
  expect(failed).toBe(failedCount);
  expect(store.counts()).toMatchObject({ read: 2, readIfChanged: 18 });
});

test("the repository used last stays open, however large", async () => {
  const { store, catalog } = await catalogOf(1);
  await catalog.open(UUIDS[0] ?? "");
  store.reset();
  await catalog.open(UUIDS[0] ?? "");
  expect(store.counts()).toMatchObject({ read: 0, readIfChanged: 1 });
});

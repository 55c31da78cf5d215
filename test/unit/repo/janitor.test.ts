/** The janitor: what has lost its name goes after the grace period, and nothing else ever does. */
import { beforeEach, expect, test } from "vitest";
import { StoredDocumentError } from "../../../lib/errors.ts";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import { tidyRepository } from "../../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import type { ManifestPack, StoredManifest } from "../../../lib/repo/manifest.ts";
import { publish, writeManifest } from "../../../lib/repo/publish.ts";
import { NO_DOCUMENT } from "../../../lib/repo/stored-document.ts";
import { recentKey } from "../../../lib/repo/stored-recent.ts";
import { textOf, utf8 } from "../../support/byte-chunks.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000003";
const KEYS = repositoryKeys(UUID);
const HOUR_MS = 3_600_000;
/** The store's own clock is the real one. */
const START_MS = Date.now();

let faults: BlobFaults;
let store: CountingBlobStore;
let published: StoredManifest;

const packOf = (digit: string): ManifestPack => ({
  id: digit.repeat(40),
  packBytes: 1,
  indexBytes: 1,
  objectCount: 0,
  sentObjectCount: 0,
  sentEndBytes: 1,
  repeatedObjectCount: 0,
});

async function writePack(digit: string): Promise<ManifestPack> {
  const { id } = packOf(digit);
  for (const key of [KEYS.pack(id), KEYS.packIndex(id), KEYS.packHistory(id)])
    await store.write(key, utf8("x"));
  return packOf(digit);
}

const tidyAfter = (hours: number, policy = {}) =>
  tidyRepository(UUID, {
    store,
    now: () => new Date(START_MS + hours * HOUR_MS),
    policy: { graceMs: 24 * HOUR_MS, intervalMs: HOUR_MS, maxRemoved: 1000, maxNoted: 1000, ...policy },
  });

async function keys(prefix = KEYS.prefix): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key.slice(KEYS.prefix.length));
  return found;
}

beforeEach(async () => {
  faults = {};
  store = new CountingBlobStore(new MemoryBlobStore({ faults: { before: (call) => faults.before?.(call) } }));
  published = await publish(store, UUID, NO_DOCUMENT, {
    head: { ref: "refs/heads/main" },
    refs: [{ name: "refs/heads/main", id: parseObjectId("a".repeat(40)) }],
    packs: [await writePack("1"), await writePack("2")],
    mayHoldUnreachable: false,
    publishedAt: new Date(START_MS),
    verifiedAt: new Date(START_MS),
  });
});

const replacePacks = async (...packs: ManifestPack[]): Promise<void> => {
  const { value: manifest } = published;
  published = await writeManifest(store, UUID, { ...manifest, packs }, published);
};

test("what the manifest names stays, with sidecars of other releases, and so does all that is not the mirror's", async () => {
  const sidecars = ["history-99", "rev"].map((form) => `objects/pack/pack-${"1".repeat(40)}.${form}`);
  const strange = [
    ...sidecars,
    "notes.txt",
    "objects/pack/pack-1.keep",
    "objects/info/packs",
    "ref-snapshots/README",
  ];
  for (const name of strange) await store.write(KEYS.prefix + name, utf8("?"));
  const before = await keys();
  for (const hours of [0, 100, 1000]) await tidyAfter(hours);
  expect(await keys()).toEqual([...before, "janitor.json"].toSorted());
});

test("a pack of long ago that has just lost its name stays for the grace period from then on", async () => {
  await tidyAfter(0);
  await replacePacks(await writePack("3"));
  expect(await tidyAfter(100)).toMatchObject({ removedBlobs: 0, waitingBlobs: 6 });
  expect(await tidyAfter(123)).toMatchObject({ removedBlobs: 0, waitingBlobs: 6 });
  expect(await tidyAfter(124)).toMatchObject({ removedBlobs: 6, removedBytes: 6, waitingBlobs: 0 });
  expect(await keys(KEYS.packFolder)).toEqual(
    ["history-4", "idx", "pack"].map((kind) => `objects/pack/pack-${"3".repeat(40)}.${kind}`),
  );
});

test("snapshots of older generations go, the one that is named stays", async () => {
  const { refs } = published.value;
  await store.write(KEYS.refSnapshot("b".repeat(40)), utf8("old"));
  await tidyAfter(0);
  await tidyAfter(30);
  expect(await keys(KEYS.refSnapshotFolder)).toEqual([`ref-snapshots/${refs.snapshotId}`]);
});

test("answers that an earlier release has kept go, those of this one are not its business", async () => {
  const answer = "c".repeat(64);
  await store.write(`${KEYS.formerAnswerFolder}${answer}`, utf8("old"));
  await store.write(KEYS.answer(answer), utf8("new"));
  await tidyAfter(0);
  await tidyAfter(30);
  expect(await keys(KEYS.formerAnswerFolder)).toEqual([]);
  expect(await keys(KEYS.answerFolder)).toHaveLength(1);
});

test("what a writer has written again since it was noted stays for another grace period", async () => {
  await store.write(KEYS.refSnapshot("b".repeat(40)), utf8("old"));
  await tidyAfter(-40);
  // By the store's clock it was written at 0.
  expect(await tidyAfter(20)).toMatchObject({ removedBlobs: 0, waitingBlobs: 1 });
  expect(await tidyAfter(30)).toMatchObject({ removedBlobs: 1 });
});

test("what is published while the keys are listed is not taken for garbage", async () => {
  const pack = await writePack("4");
  await tidyAfter(0);
  faults = {
    before: async ({ kind, key }) => {
      if (kind !== "list" || key !== KEYS.refSnapshotFolder) return undefined;
      faults = {};
      await replacePacks(...published.value.packs, pack);
      return undefined;
    },
  };
  expect(await tidyAfter(30)).toMatchObject({ removedBlobs: 0, waitingBlobs: 0 });
  expect((await keys(KEYS.packFolder)).length).toBe(9);
});

test("what a first sync has left that was killed goes too", async () => {
  await store.delete(KEYS.manifest);
  await tidyAfter(0);
  expect(await tidyAfter(30)).toMatchObject({ removedBlobs: 7 });
});

test("a manifest that cannot be understood: nothing is removed", async () => {
  await store.write(KEYS.refSnapshot("b".repeat(40)), utf8("old"));
  await tidyAfter(0);
  await store.write(KEYS.manifest, utf8("{"));
  const before = await keys();
  await expect(tidyAfter(30)).rejects.toThrow(StoredDocumentError);
  expect(await keys()).toEqual(before);
});

test("notes that cannot be understood, or from a clock that was ahead, cost a grace period and no more", async () => {
  await store.write(KEYS.refSnapshot("b".repeat(40)), utf8("old"));
  await store.write(KEYS.janitorNotes, utf8("{"));
  expect(await tidyAfter(100)).toMatchObject({ waitingBlobs: 1 });
  await tidyAfter(10_000_000);
  await store.write(KEYS.refSnapshot("c".repeat(40)), utf8("old"));
  await tidyAfter(20_000_000);
  expect(await tidyAfter(200)).toMatchObject({ removedBlobs: 0, waitingBlobs: 1 });
  expect(await tidyAfter(224)).toMatchObject({ removedBlobs: 1 });
});

test("a run just after another asks for the notes and no more", async () => {
  await tidyAfter(0);
  store.reset();
  expect(await tidyAfter(0.9)).toBeUndefined();
  expect(store.counts()).toMatchObject({ requests: 1, read: 1 });
  store.reset();
  expect(await tidyAfter(1)).toMatchObject({ removedBlobs: 0 });
  // Notes, five folders, manifest, notes of an import, unfinished uploads of two folders, notes again.
  expect(store.counts()).toMatchObject({ requests: 11 });
});

test("a run removes no more than it may, packs after what belongs to them, and the next goes on", async () => {
  await replacePacks();
  await tidyAfter(0);
  expect(await tidyAfter(30, { maxRemoved: 4 })).toMatchObject({ removedBlobs: 4, waitingBlobs: 2 });
  expect(await tidyAfter(32, { maxRemoved: 4 })).toMatchObject({ removedBlobs: 2, waitingBlobs: 0 });
  expect(await keys(KEYS.packFolder)).toEqual([]);
});

test("more than it can keep in mind waits for later runs", async () => {
  await replacePacks();
  expect(await tidyAfter(0, { maxNoted: 2 })).toMatchObject({ waitingBlobs: 6 });
  const notes = JSON.parse(textOf((await store.read(KEYS.janitorNotes)).bytes));
  expect(Object.keys(notes.unnamed)).toHaveLength(2);
  expect(await tidyAfter(30, { maxNoted: 2 })).toMatchObject({ removedBlobs: 2, waitingBlobs: 4 });
});

test("abandoned uploads are freed", async () => {
  const upload = await store.startUpload(KEYS.pack("5".repeat(40)));
  await upload.write(utf8("half"));
  expect(await tidyAfter(23)).toMatchObject({ removedUploads: 0 });
  expect(await tidyAfter(25)).toMatchObject({ removedUploads: 1 });
  await expect(upload.complete()).rejects.toThrow();
});

test("recent objects of other generations go after a quarter of an hour, those of this one stay", async () => {
  const { value: manifest } = published;
  const current = recentKey({ uuid: UUID, manifest });
  const former = KEYS.recent("f".repeat(40));
  for (const key of [current, former]) await store.write(key, utf8("x"));
  await tidyAfter(0.1);
  expect(await keys(KEYS.recentFolder)).toHaveLength(2);
  await tidyAfter(1.2);
  expect(await keys(KEYS.recentFolder)).toEqual([current.slice(KEYS.prefix.length)]);
});

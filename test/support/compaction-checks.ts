/** What must hold of packs that were compacted, as git sees it and as indexing them anew would. */
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { decodePackHistory, NONE, type PackHistory } from "../../lib/git/history/pack-history.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../../lib/git/object-id.ts";
import { PackIndex } from "../../lib/git/pack/index-v2.ts";
import { PackFileProgress } from "../../lib/indexer/file-pack-source.ts";
import { indexPack } from "../../lib/indexer/index-pack.ts";
import { tidyRepository } from "../../lib/repo/janitor.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { completeHistory } from "../../lib/sync/complete-history.ts";
import { git } from "./git/run-git.ts";
import { expectContentsToldTruly } from "./history-checks.ts";
import { expectSilentFsck, type Primary } from "./primary.ts";
import {
  copyPrefix,
  expectCloneLikePrimary,
  expectNothingLeftOver,
  RIG_UUID,
  type SyncRig,
} from "./sync-rig.ts";

const KEYS = repositoryKeys(RIG_UUID);
const HOUR_MS = 3_600_000;

/** Two runs of the janitor, far enough apart: unreferenced blobs are gone after them. */
export async function tidy(store: BlobStore): Promise<void> {
  for (const hours of [48, 96]) {
    const now = () => new Date(Date.now() + hours * HOUR_MS);
    await tidyRepository(RIG_UUID, { store, now });
  }
  await store.delete(KEYS.janitorNotes);
}

/** All of the above, with a clone before the old packs are gone and one after. */
export async function expectWhole(rig: SyncRig, primary: Primary): Promise<void> {
  const { store } = rig.storage;
  await expectCloneLikePrimary(rig, primary);
  await tidy(store);
  await expectNothingLeftOver(rig);
  await expectGitsOwnIndexes(store, primary);
  await expectHistoriesAsIfIndexed(store, primary);
  await expectCloneLikePrimary(rig, primary);
}

/** What git makes of the packs alone: each is whole, and its index is the one that git would write. */
async function expectGitsOwnIndexes(store: BlobStore, primary: Primary): Promise<void> {
  const copy = primary.newPath();
  await copyPrefix(store, KEYS.prefix, copy);
  await expectSilentFsck(copy);
  const folder = join(copy, "objects/pack");
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".pack")) continue;
    const pack = join(folder, name);
    await git(["verify-pack", pack]);
    const indexed = primary.newPath();
    await mkdir(indexed);
    const again = join(indexed, "pack.pack");
    await writeFile(again, await readFile(pack));
    await git(["index-pack", "--strict", "-o", join(indexed, "pack.idx"), again], { cwd: copy });
    const [ours, gits] = await Promise.all([
      readFile(pack.replace(/pack$/, "idx")),
      readFile(join(indexed, "pack.idx")),
    ]);
    expect(ours.equals(gits), name).toBe(true);
  }
}

/** Each history in the store says what one worked out anew from the pack would say, parents before children. */
async function expectHistoriesAsIfIndexed(store: BlobStore, primary: Primary): Promise<void> {
  const repository = await openRepository({ store, blocks: new BlockCache(store) }, RIG_UUID);
  const objects = await repository.openObjects();
  expect(repository.damagedHistories).toEqual([]);
  await expectContentsToldTruly(objects);
  for (const { id, objectCount, checksum } of repository.manifest.packs) {
    const path = primary.newPath();
    const { bytes } = await store.read(KEYS.pack(id));
    await writeFile(path, bytes);
    expect(checksum).toBe(Buffer.from(bytes.subarray(-20)).toString("hex"));
    const file = await open(path, "r+");
    try {
      const progress = new PackFileProgress();
      progress.complete(bytes.length);
      const { built, index } = await indexPack({ file, progress });
      const again = built && (await completeHistory(built, index, objects));
      const { bytes: sidecar } = await store.read(KEYS.packHistory(id));
      const stored = await decodePackHistory(sidecar, objectCount);
      if (again === undefined || stored === undefined) throw new Error("there is no history");
      const packIndex = new PackIndex(index);
      const expected = describeHistory(again, packIndex);
      // `indexPack` takes an appended base for one of the pack's own objects; older packs say what it introduces.
      const described = describeHistory(stored, packIndex);
      for (const [what, value] of described) expect(value, what).toEqual(expected.get(what));
      // Each object, and each commit, if there are any: a pack may hold tags alone.
      expect(described.size).toBeGreaterThan(
        packIndex.objectCount - Number(stored.commitObjects.length === 0),
      );
      expectParentsFirst(stored);
    } finally {
      await file.close();
      await rm(path);
    }
  }
}

/** By commit: everything that the history says of it, with ids for numbers. And of each entry its type, size and base. */
function describeHistory(history: PackHistory, index: PackIndex): Map<string, unknown> {
  const idOf = (reference: number): ObjectId =>
    reference < index.objectCount
      ? index.objectId(reference)
      : objectIdAt(history.externalIds, (reference - index.objectCount) * OBJECT_ID_BYTES);
  const idOrNone = (reference = NONE): ObjectId | undefined =>
    reference === NONE ? undefined : idOf(reference);
  const ids = (references: Uint32Array): ObjectId[] => [...references].map(idOf);
  const described = new Map<string, unknown>();
  for (let number = 0; number < index.objectCount; number++)
    described.set(`entry of ${index.objectId(number)}`, {
      type: history.types[number],
      sizeBytes: history.sizes[number],
      base: idOrNone(history.deltaBases[number]),
    });
  history.commitObjects.forEach((object, row) => {
    const parentStart = row === 0 ? 0 : history.parentEnds[row - 1];
    const start = row === 0 ? 0 : history.introducedEnds[row - 1];
    described.set(idOf(object), {
      tree: idOf(history.commitTrees[row] as number),
      seconds: history.seconds[row],
      parents: ids(history.parents.subarray(parentStart, history.parentEnds[row])),
      introduced: ids(history.introduced.subarray(start, history.introducedEnds[row])).toSorted(),
    });
  });
  return described;
}

function expectParentsFirst({ commitObjects, parents, parentEnds }: PackHistory): void {
  const rowOf = new Map([...commitObjects].map((object, row) => [object, row]));
  let start = 0;
  parentEnds.forEach((end, row) => {
    for (const parent of parents.subarray(start, end)) expect(rowOf.get(parent) ?? -1).toBeLessThan(row);
    start = end;
  });
}

/** Reads the history sidecars of a repository's packs. */
import { CorruptPackError } from "../errors.ts";
import { CommitHistory, type HistoryPart } from "../git/history/commit-history.ts";
import { decodePackHistory, type PackHistory } from "../git/history/pack-history.ts";
import { OBJECT_ID_BYTES } from "../git/object-id.ts";
import type { Blob, BlobStore } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import type { PackSet } from "./pack-set.ts";

/**
 * One request for each pack, all at once.
 * @returns `undefined` if a pack has none: the repository is served without, slower.
 */
export function readHistoryBlobs(
  store: BlobStore,
  keys: RepositoryKeys,
  packs: readonly ManifestPack[],
): Promise<Blob[]> | undefined {
  if (packs.some(({ historyBytes }) => historyBytes === undefined)) return undefined;
  return Promise.all(packs.map(({ id }) => store.read(keys.packHistory(id))));
}

/**
 * @param blobs - Of the set's packs, in its order.
 * @returns `undefined` if one is of another version.
 * @throws {CorruptPackError} One is broken, or does not fit the packs.
 */
export function openHistory(blobs: readonly Blob[], set: PackSet): CommitHistory | undefined {
  const parts: HistoryPart[] = [];
  for (const [packNumber, { bytes }] of blobs.entries()) {
    const objects = set.numbersOf(packNumber);
    const history = decodePackHistory(bytes, objects.length);
    if (history === undefined) return undefined;
    parts.push({ history, numbers: withExternals(objects, history, set) });
  }
  return new CommitHistory(parts, set.objectCount);
}

function withExternals(objects: Uint32Array, { externalIds }: PackHistory, set: PackSet): Uint32Array {
  const externalCount = externalIds.length / OBJECT_ID_BYTES;
  const numbers = new Uint32Array(objects.length + externalCount);
  numbers.set(objects);
  for (let i = 0; i < externalCount; i++) {
    const number = set.find(externalIds, i * OBJECT_ID_BYTES);
    if (number < 0) throw new CorruptPackError("pack history refers to an object that is nowhere");
    numbers[objects.length + i] = number;
  }
  return numbers;
}

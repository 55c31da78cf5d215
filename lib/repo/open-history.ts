/** Reads the history sidecars of a repository's packs. They speed answers up: damage to them costs no more than that. */

import { CorruptPackError, NotFoundError } from "../errors.ts";
import { CommitHistory, type HistoryPart } from "../git/history/commit-history.ts";
import { decodePackHistory, type PackHistory } from "../git/history/pack-history.ts";
import { OBJECT_ID_BYTES } from "../git/object-id.ts";
import type { PackNumber } from "../git/object-numbers.ts";
import type { WorkSlices } from "../git/work-slices.ts";
import type { BlobStore, ReadOptions } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import type { ManifestPack } from "./manifest.ts";
import type { PackSet } from "./pack-set.ts";

interface DamagedHistory {
  readonly packId: string;
  /** What is wrong with it, or that it is of another version. */
  readonly error: unknown;
}

export interface OpenedHistory {
  /** Of all packs; absent if one of them has none. */
  readonly history?: CommitHistory;
  /** Those that are missing or cannot be used. */
  readonly damaged: readonly DamagedHistory[];
}

/** A sidecar's bytes, what keeps them from being read, or `undefined` where the manifest names none. */
type HistoryBlob = Uint8Array | NotFoundError | undefined;

/** One request for each pack, all at once; none if a pack has no sidecar, as the others are of no use then. */
export async function readHistoryBlobs(
  store: BlobStore,
  keys: RepositoryKeys,
  packs: readonly ManifestPack[],
  options?: ReadOptions,
): Promise<HistoryBlob[]> {
  if (packs.some(({ historyBytes = 0 }) => historyBytes === 0)) return packs.map(() => undefined);
  return Promise.all(
    packs.map(async ({ id }) => {
      try {
        return (await store.read(keys.packHistory(id), options)).bytes;
      } catch (error) {
        if (error instanceof NotFoundError) return error;
        throw error;
      }
    }),
  );
}

/** In a step of `WorkSlices`: checked, and put into the history. */
const BYTES_A_STEP = 400;

/** @param blobs - Of the set's packs, in its order. */
export async function openHistory(
  blobs: readonly HistoryBlob[],
  packs: readonly ManifestPack[],
  set: PackSet,
  slices: WorkSlices,
): Promise<OpenedHistory> {
  const parts: HistoryPart[] = [];
  const damaged: DamagedHistory[] = [];
  for (const [packNumber, { id: packId, historyBytes }] of packs.entries()) {
    const blob = blobs[packNumber];
    if (historyBytes === undefined)
      damaged.push({
        packId,
        error: new NotFoundError("pack has no history sidecar of this release's form"),
      });
    if (blob === undefined) continue;
    await slices.spend(blob instanceof Uint8Array ? blob.length / BYTES_A_STEP : 0);
    try {
      parts.push(await openPart(blob, packNumber, set, slices));
    } catch (error) {
      if (!(error instanceof CorruptPackError || error instanceof NotFoundError)) throw error;
      damaged.push({ packId, error });
    }
  }
  return parts.length < packs.length
    ? { damaged }
    : { history: await CommitHistory.open(parts, set.objectCount, slices), damaged };
}

async function openPart(
  blob: Uint8Array | NotFoundError,
  packNumber: PackNumber,
  set: PackSet,
  slices: WorkSlices,
): Promise<HistoryPart> {
  if (blob instanceof NotFoundError) throw blob;
  const objects = set.numbersOf(packNumber);
  const history = await decodePackHistory(blob, objects.length, slices);
  if (history === undefined) throw new CorruptPackError("pack history is of another version");
  const firstNumber = set.firstNumber(packNumber);
  return { history, firstNumber, numbers: withExternals(objects, history, set) };
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

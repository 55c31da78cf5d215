/**
 * Whether everything that a new pack refers to is there. The packs before it are closed in this sense, so if each link
 * out of the new pack ends in it or in them, every new tip is whole, without a walk from the tips.
 */
import { CorruptPackError } from "../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../git/object-id.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { IndexedPack } from "../indexer/index-pack.ts";

/** What the repository held before; absent for a first sync. */
interface KnownObjects {
  find(idBytes: Uint8Array, start: number): number;
  findId(id: ObjectId): number;
}

/** @throws {CorruptPackError} A wanted object or one that it needs has not come. */
export function assertConnected(
  { index, openLinks }: IndexedPack,
  wants: readonly ObjectId[],
  known: KnownObjects | undefined,
): void {
  const packIndex = new PackIndex(index);
  for (const id of wants) {
    if (packIndex.find(id) < 0)
      throw new CorruptPackError("the primary's pack lacks an object that was asked for", { id });
  }
  const linkCount = openLinks.flags.length;
  for (let i = 0; i < linkCount; i++) {
    const start = i * OBJECT_ID_BYTES;
    if (known !== undefined && known.find(openLinks.ids, start) >= 0) continue;
    throw new CorruptPackError("the primary's pack refers to an object that is nowhere, or of another type", {
      id: objectIdAt(openLinks.ids, start),
      linkCount,
    });
  }
}

/** How many of the pack's objects the repository held before; the bases appended to a thin pack are among them. */
export function countKnownObjects({ index }: IndexedPack, known: KnownObjects | undefined): number {
  if (known === undefined) return 0;
  const ids = new PackIndex(index).objectIds();
  let count = 0;
  for (let start = 0; start < ids.length; start += OBJECT_ID_BYTES) if (known.find(ids, start) >= 0) count++;
  return count;
}

/** Writes the recent objects of a generation, out of all that there are; see stored-recent.ts, which reads them. */
import { chooseRecent, type RecentSubject } from "../git/recent/choose-recent.ts";
import { holdEntries } from "../git/recent/hold-entries.ts";
import { newestOrder } from "../git/recent/newest-order.ts";
import { encodeRecentObjects } from "../git/recent/recent-objects.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { repositoryKeys } from "./layout.ts";
import { placeEntries } from "./stored-newest.ts";
import { type GenerationOf, recentKey, subjectOf } from "./stored-recent.ts";

/**
 * @param chosen - All objects of the generation, and its refs.
 * @returns How many bytes were written; `undefined` where nothing recent is small enough.
 */
export async function writeRecentObjects(
  store: BlobStore,
  generation: GenerationOf,
  chosen: RecentSubject,
): Promise<number | undefined> {
  const { objects, maxHeldBytes, minPlacedPackBytes: minPackBytes, checksEntries } = chosen;
  const { packs } = generation.manifest;
  const choice = await chooseRecent(chosen, packs.length);
  if (choice === undefined) return undefined;
  const order = await newestOrder(choice.recent, choice.head, objects.slices);
  const keys = repositoryKeys(generation.uuid);
  const placed = await placeEntries(choice.recent, order.apart, objects, {
    store,
    keys,
    packs,
    minPackBytes,
    checksEntries,
  });
  const recent = await holdEntries(placed, order.withBases, objects, maxHeldBytes);
  const bytes = await encodeRecentObjects(recent, subjectOf(generation.manifest), objects.slices);
  await store.write(recentKey(generation), bytes);
  return bytes.length;
}

/** What must hold of the histories of a repository's packs, held against the objects themselves. */
import { expect } from "vitest";
import { TREE_KIND } from "../../lib/git/history/pack-history.ts";
import { parseTag } from "../../lib/git/objects.ts";
import { OBJECT_TYPE } from "../../lib/git/pack/pack-format.ts";
import { readTreeEntries } from "../../lib/git/walk/read-tree.ts";
import type { ObjectDatabase } from "../../lib/repo/object-database.ts";

/**
 * The history says what every tree that a commit introduces holds, and what every tag points to, as these
 * say themselves.
 */
export async function expectContentsToldTruly(objects: ObjectDatabase): Promise<void> {
  const { history } = objects;
  if (history === undefined) throw new Error("there is no history");
  const introduced = new Set<number>();
  for (let row = 0; row < history.rowCount; row++)
    for (const number of history.introduced(row)) introduced.add(number);
  for (const number of objects.packs.allObjects()) {
    const type = history.types[number];
    const id = objects.objectId(number);
    if (type === OBJECT_TYPE.tag) {
      const { targetId } = parseTag((await objects.read(number)).bytes);
      expect(history.tagTargets[number], id).toBe(objects.findId(targetId));
    } else {
      expect(history.tagTargets[number]).toBe(-1);
    }
    if (type !== OBJECT_TYPE.tree) continue;
    if (history.trees.kinds[number] === TREE_KIND.unknown) {
      expect(introduced, id).not.toContain(number);
      continue;
    }
    const entries = (await readTreeEntries(objects, number)).toSorted();
    expect(history.trees.entriesOf(number)?.toSorted(), id).toEqual(entries);
  }
}

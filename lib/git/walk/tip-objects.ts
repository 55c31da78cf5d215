/** Marks what a checkout of a ref needs: the tips' trees and all that these hold, without the history behind. */
import type { ObjectReader, RefList } from "../ports.ts";
import { CommitTable } from "./commit-table.ts";
import { ObjectMarks } from "./object-marks.ts";
import { peelObject } from "./peel.ts";
import { openTreeMarker } from "./recorded-objects.ts";

/**
 * Branches and tags, HEAD included.
 * @returns Marked as sent: trees and blobs. A tip that is not in the repository is passed over.
 * @throws {CorruptPackError} An object is malformed, or what it names is missing.
 */
export async function markTipObjects(reader: ObjectReader, { head, refs }: RefList): Promise<ObjectMarks> {
  const marks = new ObjectMarks(reader.objectCount);
  const marker = openTreeMarker(reader, marks, undefined);
  const table = new CommitTable(reader);
  const tips = new Set(refs.map(({ id }) => id));
  if ("id" in head) tips.add(head.id);
  for (const id of tips) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined) continue;
    if (peeled.type === "tree") await marker.mark(peeled.objectNumber, []);
    else if (peeled.type === "blob") marks.markSent(peeled.objectNumber);
    else if (peeled.type === "commit") {
      const row = table.rowOf(peeled.objectNumber);
      await table.load(row);
      await marker.mark(table.treeNumber(row), []);
    }
  }
  return marks;
}

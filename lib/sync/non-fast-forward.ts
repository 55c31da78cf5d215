/** Whether an object that a ref named may have become unreachable: then the packs hold what must not be served. */
import type { ObjectId } from "../git/object-id.ts";
import type { ObjectReader } from "../git/ports.ts";
import { CommitTable } from "../git/walk/commit-table.ts";
import { findMissingCommits } from "../git/walk/missing-commits.ts";
import { peelObject } from "../git/walk/peel.ts";

/**
 * @param oldTips, newTips - All tips of the generation before and of the new one.
 * @returns Whether an old tip is not reachable from the new ones; for tags that are tips no more, without a closer look.
 */
export async function isNonFastForward(
  reader: ObjectReader,
  oldTips: ReadonlySet<ObjectId>,
  newTips: ReadonlySet<ObjectId>,
): Promise<boolean> {
  const lost = [...oldTips].filter((id) => !newTips.has(id));
  if (lost.length === 0) return false;
  const table = new CommitTable(reader);
  const lostRows: number[] = [];
  for (const id of lost) {
    const objectNumber = reader.findId(id);
    if (objectNumber < 0 || (await reader.readType(objectNumber)) !== "commit") return true;
    lostRows.push(table.rowOf(objectNumber));
  }
  const newRows: number[] = [];
  for (const id of newTips) {
    const peeled = await peelObject(reader, id);
    if (peeled?.type === "commit") newRows.push(table.rowOf(peeled.objectNumber));
  }
  const { rows } = await findMissingCommits(table, lostRows, newRows);
  return rows.length > 0;
}

/** Whether the refs still reach commits that they reached once. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectReader, RefList } from "../ports.ts";
import { findUnreachable } from "./reachable.ts";

/** @param mayHoldUnreachable - If not, whatever is here is reached. */
export async function areReached(
  reader: ObjectReader,
  refList: RefList,
  commitIds: readonly ObjectId[],
  mayHoldUnreachable: boolean,
): Promise<boolean> {
  const numbers = commitIds.map((id) => reader.findId(id));
  if (numbers.includes(-1)) return false;
  if (!mayHoldUnreachable) return true;
  const { history } = reader;
  if (history === undefined) return (await findUnreachable(reader, refList, commitIds)).size === 0;
  const { head, refs } = refList;
  const tips = refs.map(({ id, peeledId }) => peeledId ?? id);
  if ("commitId" in head) tips.push(head.commitId);
  const rows = tips.map((id) => history.rowOf(reader.findId(id))).filter((row) => row >= 0);
  const painted = history.paint(rows, []);
  return numbers.every((number) => {
    const row = history.rowOf(number);
    return row >= 0 && painted.isReached(row);
  });
}

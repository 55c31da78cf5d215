/** Whether objects can be reached from the refs. Only asked when the packs may hold more than that. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectReader, RefList } from "../ports.ts";
import { markMissingObjects } from "./missing-objects.ts";
import { ObjectMarks } from "./object-marks.ts";

/**
 * @returns Those of `ids` that no ref reaches.
 * @param ids - Objects that are in the repository.
 */
export async function findUnreachable(
  reader: ObjectReader,
  { head, refs }: RefList,
  ids: readonly ObjectId[],
): Promise<Set<ObjectId>> {
  if (ids.length === 0) return new Set();
  let commitsOnly = true;
  for (const id of ids) {
    const type = await reader.readType(reader.findId(id));
    if (type === "tree" || type === "blob") commitsOnly = false;
  }
  const tips = refs.map(({ id }) => id);
  if ("commitId" in head) tips.push(head.commitId);
  const marks = new ObjectMarks(reader.objectCount);
  const walk = markMissingObjects(reader, marks, { wants: tips, commonCommits: [], commitsOnly });
  for await (const _count of walk);
  return new Set(ids.filter((id) => !marks.isSent(reader.findId(id))));
}

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

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

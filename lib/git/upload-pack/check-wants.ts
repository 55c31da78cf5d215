/** Which wants may be served: values of refs, and what a ref reaches. */
import type { ObjectId } from "../object-id.ts";
import type { RefList, UploadPackSource } from "../ports.ts";
import { findUnreachable } from "../walk/reachable.ts";
import { refValues } from "./find-refs.ts";

/** @returns A want that is neither a ref's value nor reachable from one. */
export async function findRefusedWant(
  source: UploadPackSource,
  refList: RefList,
  wants: readonly ObjectId[],
): Promise<ObjectId | undefined> {
  const others = wantsBesideTips(refList, wants);
  if (others.length === 0) return undefined;
  const objects = await source.openObjects();
  for (const id of others) {
    if (objects.slices.isDue(1)) await objects.slices.pause();
    if (objects.findId(id) < 0) return id;
  }
  if (!source.mayHoldUnreachable) return undefined;
  const [unreachable] = await findUnreachable(objects, refList, others);
  return unreachable;
}

/** @returns Those that are neither a ref's value nor HEAD's. */
export function wantsBesideTips(refList: RefList, wants: readonly ObjectId[]): ObjectId[] {
  const tips = refValues(refList);
  const headId = "id" in refList.head ? refList.head.id : undefined;
  return wants.filter((id) => id !== headId && !tips.has(id));
}

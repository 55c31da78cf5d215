/** What HEAD stands for among the refs. */
import type { ObjectId } from "../object-id.ts";
import type { RefList } from "../ports.ts";
import { findRef } from "./find-refs.ts";

export interface ResolvedHead {
  readonly id: ObjectId;
  readonly peeledId?: ObjectId;
  /** The branch it names; `undefined` if it is detached. */
  readonly symrefTarget: string | undefined;
}

/** @returns `undefined` if HEAD names a branch that does not exist. */
export function resolveHead(refList: RefList): ResolvedHead | undefined {
  const { head } = refList;
  if ("commitId" in head) return { id: head.commitId, symrefTarget: undefined };
  const target = findRef(refList, head.ref);
  if (target === undefined) return undefined;
  const { name: symrefTarget, ...ids } = target;
  return { ...ids, symrefTarget };
}

/** What has changed between two lists of refs, and what to ask the primary for. */
import type { ObjectId } from "../git/object-id.ts";
import type { Head, RefList } from "../git/ports.ts";

export interface RefChange {
  readonly name: string;
  /** Absent for a new ref. */
  readonly oldId?: ObjectId;
  /** Absent for a deleted ref. */
  readonly newId?: ObjectId;
}

/** In the order of names. */
export function compareRefs(before: RefList, after: RefList): RefChange[] {
  const oldIds = new Map(before.refs.map(({ name, id }) => [name, id]));
  const changes: RefChange[] = [];
  for (const { name, id } of after.refs) {
    const oldId = oldIds.get(name);
    oldIds.delete(name);
    if (oldId === undefined) changes.push({ name, newId: id });
    else if (oldId !== id) changes.push({ name, oldId, newId: id });
  }
  for (const [name, oldId] of oldIds) changes.push({ name, oldId });
  return changes.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function isSameHead(a: Head, b: Head): boolean {
  if ("ref" in a) return "ref" in b && a.ref === b.ref;
  return "commitId" in b && a.commitId === b.commitId;
}

/** Every object that a ref or a detached HEAD names, once. */
export function tipsOf({ head, refs }: RefList): Set<ObjectId> {
  const tips = new Set(refs.map(({ id }) => id));
  if ("commitId" in head) tips.add(head.commitId);
  return tips;
}

/**
 * The tips that are here, to name to the primary. What has moved comes first: what is missing builds on it, and a request
 * with all would be larger than what it saves.
 */
export function chooseHaves(before: RefList, changes: readonly RefChange[]): ObjectId[] {
  const haves = new Set<ObjectId>();
  for (const { oldId } of changes) if (oldId !== undefined) haves.add(oldId);
  for (const { name, id } of before.refs) if (name.startsWith("refs/heads/")) haves.add(id);
  for (const { id, peeledId } of before.refs) haves.add(peeledId ?? id);
  return [...haves];
}

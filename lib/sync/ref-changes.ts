/** What has changed between two lists of refs, and what to ask the primary for. */
import type { ObjectId } from "../git/object-id.ts";
import type { Head, ObjectReader, RefList } from "../git/ports.ts";
import { CommitTable } from "../git/walk/commit-table.ts";
import { findMissingCommits } from "../git/walk/missing-commits.ts";
import { peelObject } from "../git/walk/peel.ts";

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
  return "id" in b && a.id === b.id;
}

/** Whether HEAD and the other symbolic refs are the same. */
export function hasSameSymrefs(a: RefList, b: RefList): boolean {
  const [{ symrefs = [] }, { symrefs: others = [] }] = [a, b];
  if (!isSameHead(a.head, b.head) || symrefs.length !== others.length) return false;
  return symrefs.every(({ name, target }, i) => name === others[i]?.name && target === others[i]?.target);
}

/** Every object that a ref or a detached HEAD names, once. */
export function tipsOf({ head, refs }: RefList): Set<ObjectId> {
  const tips = new Set(refs.map(({ id }) => id));
  if ("id" in head) tips.add(head.id);
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

/**
 * Whether an object that a ref named may have become unreachable: then the packs hold what must not be served.
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

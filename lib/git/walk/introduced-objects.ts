/**
 * Introduced objects: those in a commit's tree that are at that path in none of its parents' trees.
 *
 * Over the commits that a client lacks, parents first, they are all the objects that it lacks. A tree that is already
 * marked need not be looked into again: whoever marked it came earlier in that order, so what it left out is at the same
 * path in a parent that came earlier still, or that the client has. In any other order that would not hold.
 */
import { CorruptPackError } from "../../errors.ts";
import { TreeCursor } from "../objects.ts";
import type { ObjectReader } from "../ports.ts";
import type { ObjectMarks } from "./object-marks.ts";

/** A tree of a parent, at the same path. */
export interface ParentTree {
  readonly treeNumber: number;
  readonly clientHas: boolean;
}

interface PendingTree {
  readonly treeNumber: number;
  readonly parents: readonly ParentTree[];
}

/**
 * Marks what `rootTree` holds and `parents` do not, as sent. What the walk sees in trees that the client has is marked
 * as such: the likely bases of thin deltas.
 * @throws {CorruptPackError} A tree is malformed, or what it names is missing.
 */
export async function markIntroducedObjects(
  reader: ObjectReader,
  marks: ObjectMarks,
  rootTree: number,
  parents: readonly ParentTree[],
): Promise<void> {
  for (const parent of parents) if (parent.clientHas) marks.markClientHas(parent.treeNumber);
  if (marks.isSettled(rootTree) || parents.some(({ treeNumber }) => treeNumber === rootTree)) return;
  marks.markSent(rootTree);
  const pending: PendingTree[] = [{ treeNumber: rootTree, parents }];
  for (let tree = pending.pop(); tree !== undefined; tree = pending.pop()) {
    await compareWithParents(reader, marks, tree, pending);
  }
}

async function compareWithParents(
  reader: ObjectReader,
  marks: ObjectMarks,
  tree: PendingTree,
  pending: PendingTree[],
): Promise<void> {
  const cursor = new TreeCursor(await readTree(reader, tree.treeNumber));
  const parentCursors: { readonly cursor: TreeCursor; readonly clientHas: boolean }[] = [];
  for (const { treeNumber, clientHas } of tree.parents) {
    parentCursors.push({ cursor: new TreeCursor(await readTree(reader, treeNumber)), clientHas });
  }
  for (; !cursor.isAtEnd; cursor.next()) {
    let isInherited = cursor.isGitlink;
    const parents: ParentTree[] = [];
    for (const { cursor: parentCursor, clientHas } of parentCursors) {
      if (!advanceTo(parentCursor, cursor, reader, marks, clientHas) || parentCursor.isGitlink) continue;
      if (cursor.hasSameId(parentCursor)) isInherited = true;
      const treeNumber = cursor.isTree ? reader.find(parentCursor.bytes, parentCursor.idStart) : -1;
      if (treeNumber >= 0) parents.push({ treeNumber, clientHas });
    }
    if (isInherited) continue;
    const objectNumber = reader.find(cursor.bytes, cursor.idStart);
    if (objectNumber < 0) throw missingEntry(reader, tree.treeNumber);
    if (marks.isSettled(objectNumber)) continue;
    marks.markSent(objectNumber);
    if (cursor.isTree) pending.push({ treeNumber: objectNumber, parents });
  }
}

/** Moves the parent's cursor to the entry with `target`'s name. @returns Whether there is one. */
function advanceTo(
  cursor: TreeCursor,
  target: TreeCursor,
  reader: ObjectReader,
  marks: ObjectMarks,
  clientHas: boolean,
): boolean {
  for (; !cursor.isAtEnd; cursor.next()) {
    const order = cursor.compareName(target);
    if (clientHas && order <= 0 && !cursor.isGitlink) markEntry(cursor, reader, marks);
    if (order >= 0) return order === 0;
  }
  return false;
}

function markEntry(cursor: TreeCursor, reader: ObjectReader, marks: ObjectMarks): void {
  const objectNumber = reader.find(cursor.bytes, cursor.idStart);
  if (objectNumber >= 0) marks.markClientHas(objectNumber);
}

async function readTree(reader: ObjectReader, treeNumber: number): Promise<Uint8Array> {
  const { type, bytes } = await reader.read(treeNumber);
  if (type !== "tree") throw new CorruptPackError("not a tree", { id: reader.objectId(treeNumber), type });
  return bytes;
}

function missingEntry(reader: ObjectReader, treeNumber: number): CorruptPackError {
  return new CorruptPackError("tree names an object that is missing", {
    treeId: reader.objectId(treeNumber),
  });
}

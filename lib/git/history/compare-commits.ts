/**
 * The objects that a commit introduces: those in its tree that are at that path in none of its parents' trees.
 * For wants W and haves H, those introduced by the commits reachable from W and not from H contain all that is missing.
 */

import { CorruptPackError } from "../../errors.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import type { TreeCursor } from "../objects.ts";
import type { ObjectBody } from "../pack/delta.ts";
import { forEachDifference } from "./tree-differences.ts";

/** @returns The number of the object whose id is at `bytes[start]`, or -1. */
type FindObject = (bytes: Uint8Array, start: number) => number;

interface PendingTree {
  readonly tree: number;
  /** At the same path in the parents that have a folder there. */
  readonly parents: readonly number[];
  /** Parents without a folder there count too: nothing can be inherited from them. */
}

/** A tree was asked for that is not there; an object has no predecessor. */
export const NO_OBJECT = -1;

/** Records what the compared trees hold: as changes to the tree that was at that path before, if any. */
export interface TreeRecorder {
  /** @param predecessor - Or {@link NO_OBJECT}. @returns Whether it records this tree. */
  begin(tree: number, predecessor: number): boolean;
  add(bytes: Uint8Array, idStart: number): void;
  /** An entry of the predecessor that is not in the tree. */
  remove(bytes: Uint8Array, idStart: number): void;
}

export interface IntroducedByCommit {
  /** Object numbers, each once, trees before what they hold. */
  readonly objects: number[];
  /** For each of these: the object that was at that path before, in a parent; or {@link NO_OBJECT}. */
  readonly predecessors: number[];
}

/**
 * Works out what one commit introduces; yields the trees to be read, and gets their objects in the same order, valid until
 * it yields again.
 * @param parentTrees - Root trees of the parents; may hold {@link NO_OBJECT} for what cannot be read.
 * @returns `undefined` if it needs an object that is not there.
 * @throws {CorruptPackError} A tree is malformed.
 */
export function* introducedObjects(
  rootTree: ObjectNumber,
  parentTrees: readonly number[],
  find: FindObject,
  recorder: TreeRecorder,
): Generator<readonly number[], IntroducedByCommit | undefined, readonly ObjectBody[]> {
  // First of all: two trees that are not there need not be the same.
  if (rootTree === NO_OBJECT) return undefined;
  if (parentTrees.includes(rootTree)) return { objects: [], predecessors: [] };
  if (parentTrees.includes(NO_OBJECT)) return undefined;
  const introduced = new Map<number, number>([[rootTree, parentTrees[0] ?? NO_OBJECT]]);
  const pending: PendingTree[] = [{ tree: rootTree, parents: parentTrees }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [body, ...parentBodies] = yield [next.tree, ...next.parents];
    if (body === undefined) throw new CorruptPackError("tree was not read");
    // If not the first parent had a folder there, what is compared with first is not the predecessor.
    const [first = NO_OBJECT] = next.parents;
    const before = introduced.get(next.tree) === first ? first : NO_OBJECT;
    const recording = recorder.begin(next.tree, before) ? recorder : undefined;
    if (before === NO_OBJECT && recording !== undefined)
      forEachDifference(body, NO_TREE, (entry) => {
        if (!entry.isGitlink) recording.add(body.bytes, entry.idStart);
      });
    const changes = before === NO_OBJECT ? undefined : recording;
    for (const { number, predecessor, isTree, parents } of newEntries(body, parentBodies, find, changes)) {
      if (number === NO_OBJECT || parents.includes(NO_OBJECT)) return undefined;
      if (introduced.has(number)) continue;
      introduced.set(number, predecessor);
      if (isTree) pending.push({ tree: number, parents });
    }
  }
  return { objects: [...introduced.keys()], predecessors: [...introduced.values()] };
}

interface NewEntry {
  readonly number: number;
  readonly predecessor: number;
  readonly isTree: boolean;
  readonly parents: readonly number[];
}

/**
 * The entries whose object is in none of the parents under the same name.
 * @param changes - Records how the tree differs from the first parent.
 */
function newEntries(
  tree: ObjectBody,
  parents: readonly ObjectBody[],
  find: FindObject,
  changes: TreeRecorder | undefined,
): NewEntry[] {
  const entries: NewEntry[] = [];
  const [first = NO_TREE, ...others] = parents;
  const otherDifferences = others.map((parent) => differencesByStart(tree, parent, find));
  const onDifference = (entry: TreeCursor, inParent: TreeCursor | undefined): void => {
    if (entry.isGitlink) return;
    changes?.add(tree.bytes, entry.idStart);
    const hadBefore = inParent !== undefined && !inParent.isGitlink;
    const predecessor = hadBefore ? find(first.bytes, inParent.idStart) : NO_OBJECT;
    const parentTrees = inParent?.isTree ? [predecessor] : [];
    for (const differences of otherDifferences) {
      const parentTree = differences.get(entry.start);
      if (parentTree === undefined) return; // inherited from this parent
      if (parentTree !== NO_FOLDER) parentTrees.push(parentTree);
    }
    const { isTree } = entry;
    const number = find(tree.bytes, entry.idStart);
    entries.push({ number, predecessor, isTree, parents: isTree ? parentTrees : [] });
  };
  forEachDifference(tree, first, onDifference, (inParent) => {
    if (!inParent.isGitlink) changes?.remove(first.bytes, inParent.idStart);
  });
  return entries;
}

const NO_FOLDER = -2;
const NO_TREE: ObjectBody = { bytes: new Uint8Array(), start: 0, sizeBytes: 0 };

/** @returns By where the entry starts: the parent's tree of that name, or {@link NO_FOLDER}. */
function differencesByStart(tree: ObjectBody, parent: ObjectBody, find: FindObject): Map<number, number> {
  const differences = new Map<number, number>();
  forEachDifference(tree, parent, (entry, inParent) => {
    differences.set(entry.start, inParent?.isTree ? find(parent.bytes, inParent.idStart) : NO_FOLDER);
  });
  return differences;
}

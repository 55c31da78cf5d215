/** The history sidecar of a merged pack, put together out of what the histories of the old packs say: no object is read. */

import { CorruptPackError } from "../../errors.ts";
import type { CommitHistory } from "../../git/history/commit-history.ts";
import type { TreeColumns } from "../../git/history/pack-history.ts";
import { NONE, type PackHistory } from "../../git/history/pack-history.ts";
import { writeTreeColumns } from "../../git/history/write-tree-columns.ts";
import { OBJECT_ID_BYTES, objectIdBytes } from "../../git/object-id.ts";
import type { ObjectNumber } from "../../git/object-numbers.ts";
import { OBJECT_TYPE } from "../../git/pack/pack-format.ts";
import type { ObjectReader } from "../../git/ports.ts";
import { Uint32Vector } from "../../git/walk/uint32-vector.ts";
import { WorkSlices } from "../../git/work-slices.ts";

export interface IndexedObjects {
  readonly objects: ObjectReader;
  /** The repository's numbers of the objects in the merged pack's index, in its order. */
  readonly numbers: Uint32Array;
  /** Of each of these: what its entry is a delta of, by the repository's number, or -1. */
  readonly bases: Int32Array;
  /** Whether the object, by the repository's number, is one that the pack is for: not a base of older packs. */
  readonly isOwn: (objectNumber: ObjectNumber) => boolean;
  /** Whether the object will still be there. */
  readonly isKept: (objectNumber: ObjectNumber) => boolean;
}

/**
 * Rows stay in their order, so parents come before children.
 * @throws {CorruptPackError} The history lacks a commit that another one has for a parent.
 */
export async function mergeHistory(history: CommitHistory, merged: IndexedObjects): Promise<PackHistory> {
  const { numbers } = merged;
  const slices = new WorkSlices();
  const references = new References(merged);
  const rows = ownRows(history, merged);
  const parents = new Uint32Vector();
  const parentEnds = new Uint32Array(rows.length);
  const introduced = new Uint32Vector();
  const introducedEnds = new Uint32Array(rows.length);
  for (const [i, row] of rows.entries()) {
    for (const parentRow of history.parentRows(row)) {
      if (parentRow < 0) throw new CorruptPackError("history lacks a commit's parent", { row });
      parents.push(references.of(history.objectNumber(parentRow)));
    }
    parentEnds[i] = parents.length;
    for (const objectNumber of history.introduced(row)) introduced.push(references.of(objectNumber));
    introducedEnds[i] = introduced.length;
    if (slices.isDue(1 + history.introduced(row).length)) await slices.pause();
  }
  const ofObjects = {
    types: Uint8Array.from(numbers, (objectNumber) => history.types[objectNumber] as number),
    sizes: numbers.map((objectNumber) => history.sizes[objectNumber] as number),
    deltaBases: Uint32Array.from(merged.bases, (base) => (base < 0 ? NONE : references.of(base))),
  };
  await slices.spend(numbers.length);
  const predecessors = numbers.map((one) => predecessorOf(history, merged, one, references));
  await slices.spend(numbers.length);
  const ofCommits = {
    commitObjects: rows.map((row) => references.of(history.objectNumber(row))),
    commitTrees: rows.map((row) => references.of(history.treeNumber(row))),
    seconds: Float64Array.from(rows, (row) => history.seconds(row)),
  };
  const trees = await mergedTrees(history, merged, references);
  return {
    ...ofObjects,
    predecessors,
    ...ofCommits,
    parentEnds,
    parents: parents.values().slice(),
    introducedEnds,
    introduced: introduced.values().slice(),
    ...trees,
    tagTargets: mergedTags(history, merged, references),
    externalIds: references.externalIds(),
  };
}

function mergedTrees(
  { types, trees, versionForest }: CommitHistory,
  { numbers, isOwn, isKept }: IndexedObjects,
  references: References,
): Promise<TreeColumns> {
  const { parents } = versionForest;
  return writeTreeColumns(trees, parents, {
    treeNumbers: numbers.filter((objectNumber) => types[objectNumber] === OBJECT_TYPE.tree),
    isOwn,
    keepsPredecessor: (treeNumber) => isKept(parents[treeNumber] as number),
    reference: (objectNumber) => references.of(objectNumber),
  });
}

function mergedTags(
  { types, tagTargets }: CommitHistory,
  { numbers, isOwn }: IndexedObjects,
  references: References,
): Uint32Array {
  const tags = numbers.filter((objectNumber) => types[objectNumber] === OBJECT_TYPE.tag);
  return tags.map((tag) => {
    const target = tagTargets[tag] as number;
    return target >= 0 && isOwn(tag) ? references.of(target) : NONE;
  });
}

function predecessorOf(
  { versionForest }: CommitHistory,
  { isOwn, isKept }: IndexedObjects,
  objectNumber: ObjectNumber,
  references: References,
): number {
  const predecessor = versionForest.parents[objectNumber] as number;
  return predecessor >= 0 && isOwn(objectNumber) && isKept(predecessor) ? references.of(predecessor) : NONE;
}

/** The rows of the pack's own commits, each commit's first. */
function ownRows(history: CommitHistory, { isOwn }: IndexedObjects): Uint32Array {
  const rows = new Uint32Vector();
  for (let row = 0; row < history.rowCount; row++) {
    const objectNumber = history.objectNumber(row);
    if (isOwn(objectNumber) && history.rowOf(objectNumber) === row) rows.push(row);
  }
  return rows.values();
}

const UNKNOWN = 0xffffffff;

/** How the sidecar writes an object: its number in the index, or, above these, its place among the objects of other packs. */
class References {
  readonly #objects: ObjectReader;
  readonly #indexedCount: number;
  readonly #references: Uint32Array;
  readonly #externals = new Uint32Vector();

  constructor({ objects, numbers }: IndexedObjects) {
    this.#objects = objects;
    this.#indexedCount = numbers.length;
    this.#references = new Uint32Array(objects.objectCount).fill(UNKNOWN);
    numbers.forEach((objectNumber, place) => {
      this.#references[objectNumber] = place;
    });
  }

  of(objectNumber: ObjectNumber): number {
    const known = this.#references[objectNumber] as number;
    if (known !== UNKNOWN) return known;
    const reference = this.#indexedCount + this.#externals.length;
    this.#externals.push(objectNumber);
    this.#references[objectNumber] = reference;
    return reference;
  }

  externalIds(): Uint8Array {
    const ids = new Uint8Array(this.#externals.length * OBJECT_ID_BYTES);
    this.#externals.values().forEach((objectNumber, place) => {
      ids.set(objectIdBytes(this.#objects.objectId(objectNumber)), place * OBJECT_ID_BYTES);
    });
    return ids;
  }
}

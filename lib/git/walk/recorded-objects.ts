/**
 * Marks what trees hold by the sidecars: a tree is read only if they do not have it. What a tree shares with the
 * one that was at its path before is passed over where that one has been looked into, so all versions of a tree take little
 * more time than one.
 */

import type { CommitHistory } from "../history/commit-history.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { ObjectReader } from "../ports.ts";
import type { ObjectFilter } from "./object-filter.ts";
import type { ObjectMarks } from "./object-marks.ts";
import { readTreeEntries } from "./read-tree.ts";
import { IntroducedObjects, type ParentTree, type TreeMarker } from "./tree-marker.ts";
import { type TreePlace, TreeVisits, WANTED_ROOT_PLACE } from "./tree-visits.ts";

/** Changes that are added up in a step of `WorkSlices`. */
const CHANGES_A_STEP = 40;

interface PendingTree {
  readonly treeNumber: ObjectNumber;
  readonly place: TreePlace;
}

export class RecordedObjects implements TreeMarker {
  readonly #reader: ObjectReader;
  readonly #history: CommitHistory;
  readonly #marks: ObjectMarks;
  readonly #visits: TreeVisits;
  /** Trees that the client has, with all that they hold marked as well. */
  readonly #held = new Set<number>();
  /** Changes that are paid for. */
  #spentCount: number;

  /** @param filter - One that does not go by path. */
  constructor(
    reader: ObjectReader,
    history: CommitHistory,
    marks: ObjectMarks,
    filter: ObjectFilter | undefined,
  ) {
    this.#reader = reader;
    this.#history = history;
    this.#marks = marks;
    this.#visits = new TreeVisits(reader, marks, filter);
    this.#spentCount = history.trees.addedCount;
  }

  async mark(rootTree: ObjectNumber, parents: readonly ParentTree[]): Promise<void> {
    await this.markHeld(parents.filter(({ clientHas }) => clientHas).map(({ treeNumber }) => treeNumber));
    const place = await this.#visits.rootPlace();
    if (this.#visits.enterTree(rootTree, place)) await this.#markBelow({ treeNumber: rootTree, place });
  }

  async markWanted(treeNumber: ObjectNumber): Promise<void> {
    this.#marks.markSent(treeNumber);
    await this.#markBelow({ treeNumber, place: WANTED_ROOT_PLACE });
  }

  async markHeld(rootTrees: readonly number[]): Promise<void> {
    const isKnown = (treeNumber: ObjectNumber): boolean => this.#held.has(treeNumber);
    const pending = rootTrees.filter((treeNumber) => !isKnown(treeNumber));
    for (let tree = pending.pop(); tree !== undefined; tree = pending.pop()) {
      if (this.#isDue()) await this.#reader.slices.pause();
      this.#held.add(tree);
      this.#marks.markClientHas(tree, "tree");
      for (const objectNumber of this.#recorded(tree, isKnown) ?? (await this.#read(tree))) {
        if (!this.#isTree(objectNumber)) this.#marks.markClientHas(objectNumber, "blob");
        else if (!isKnown(objectNumber)) pending.push(objectNumber);
      }
    }
  }

  async #markBelow(root: PendingTree): Promise<void> {
    const visits = this.#visits;
    const pending = [root];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (this.#isDue()) await this.#reader.slices.pause();
      const { treeNumber, place } = next;
      const isKnown = (other: number): boolean => visits.isEntered(other, place);
      const below = visits.placeBelow(place);
      for (const objectNumber of this.#recorded(treeNumber, isKnown) ?? (await this.#read(treeNumber))) {
        if (!this.#isTree(objectNumber)) {
          visits.visitSizedBlob(objectNumber, place, this.#history.sizes[objectNumber] as number);
        } else if (visits.enterTree(objectNumber, below)) {
          pending.push({ treeNumber: objectNumber, place: below });
        }
      }
    }
  }

  #isDue(): boolean {
    const { addedCount } = this.#history.trees;
    const steps = 1 + (addedCount - this.#spentCount) / CHANGES_A_STEP;
    this.#spentCount = addedCount;
    return this.#reader.slices.isDue(steps);
  }

  #recorded(treeNumber: ObjectNumber, isKnown: (treeNumber: ObjectNumber) => boolean): number[] | undefined {
    return this.#history.trees.entriesBeyond(treeNumber, isKnown);
  }

  #read(treeNumber: ObjectNumber): Promise<number[]> {
    return readTreeEntries(this.#reader, treeNumber);
  }

  #isTree(objectNumber: ObjectNumber): boolean {
    return this.#history.types[objectNumber] === OBJECT_TYPE.tree;
  }
}

/** Histories know no names, which a filter by path goes by. */
export function openTreeMarker(
  reader: ObjectReader,
  marks: ObjectMarks,
  filter: ObjectFilter | undefined,
): TreeMarker {
  const { history } = reader;
  return history === undefined || (filter !== undefined && filter.sparse.length > 0)
    ? new IntroducedObjects(reader, marks, filter)
    : new RecordedObjects(reader, history, marks, filter);
}

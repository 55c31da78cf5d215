/**
 * Introduced objects: those in a commit's tree that are at that path in none of its parents' trees.
 *
 * Over the commits that a client lacks, parents first, they are all the objects that it lacks. A tree that is already
 * marked need not be looked into again: it was marked for a commit earlier in that order, so what it left out is at the same
 * path in a parent that came earlier still, or that the client has. In any other order that would not hold. With a filter
 * that goes by depth or path, it holds for the same depth or path only; see `TreeVisits`.
 */
import type { ObjectNumber } from "../object-numbers.ts";
import type { TreeCursor } from "../objects.ts";
import type { ObjectReader } from "../ports.ts";
import type { ObjectFilter } from "./object-filter.ts";
import type { ObjectMarks } from "./object-marks.ts";
import { missingEntry, readTree } from "./read-tree.ts";
import { type TreePlace, TreeVisits, WANTED_ROOT_PLACE } from "./tree-visits.ts";

/** A tree of a parent, at the same path. */
export interface ParentTree {
  readonly treeNumber: ObjectNumber;
  readonly clientHas: boolean;
}

interface PendingTree {
  readonly treeNumber: ObjectNumber;
  readonly parents: readonly ParentTree[];
  readonly place: TreePlace;
}

export interface TreeMarker {
  /**
   * Marks what `rootTree` holds and `parents` do not, as sent, and of what the client has what it comes by: the likely bases
   * of thin deltas.
   * @throws {CorruptPackError} A tree is malformed, or what it names is missing.
   */
  mark(rootTree: ObjectNumber, parents: readonly ParentTree[]): Promise<void>;
  /** Marks a tree that is wanted by name, and what it holds. */
  markWanted(treeNumber: ObjectNumber): Promise<void>;
  /** Marks as the client's all that its trees hold. */
  markHeld(rootTrees: readonly number[]): Promise<void>;
}

/** Reads the trees: it goes by their names. */
export class IntroducedObjects implements TreeMarker {
  readonly #reader: ObjectReader;
  readonly #marks: ObjectMarks;
  readonly #visits: TreeVisits;

  constructor(reader: ObjectReader, marks: ObjectMarks, filter: ObjectFilter | undefined) {
    this.#reader = reader;
    this.#marks = marks;
    this.#visits = new TreeVisits(reader, marks, filter);
  }

  async mark(rootTree: ObjectNumber, parents: readonly ParentTree[]): Promise<void> {
    for (const parent of parents) if (parent.clientHas) this.#marks.markClientHas(parent.treeNumber, "tree");
    if (parents.some(({ treeNumber }) => treeNumber === rootTree)) return;
    const place = await this.#visits.rootPlace();
    if (this.#visits.enterTree(rootTree, place)) {
      await this.#markBelow({ treeNumber: rootTree, parents, place });
    }
  }

  async markWanted(treeNumber: ObjectNumber): Promise<void> {
    this.#marks.markSent(treeNumber);
    await this.#markBelow({ treeNumber, parents: [], place: WANTED_ROOT_PLACE });
  }

  async markHeld(rootTrees: readonly number[]): Promise<void> {
    const pending = [...rootTrees];
    const seen = new Set(pending);
    for (let treeNumber = pending.pop(); treeNumber !== undefined; treeNumber = pending.pop()) {
      this.#marks.markClientHas(treeNumber, "tree");
      for (const cursor = await readTree(this.#reader, treeNumber); !cursor.isAtEnd; cursor.next()) {
        this.#markClientHas(cursor);
        const objectNumber = cursor.isTree ? this.#find(cursor) : -1;
        if (objectNumber < 0 || seen.has(objectNumber)) continue;
        seen.add(objectNumber);
        pending.push(objectNumber);
      }
    }
  }

  async #markBelow(root: PendingTree): Promise<void> {
    const pending = [root];
    for (let tree = pending.pop(); tree !== undefined; tree = pending.pop()) {
      await this.#compareWithParents(tree, pending);
    }
  }

  async #compareWithParents(tree: PendingTree, pending: PendingTree[]): Promise<void> {
    const cursor = await readTree(this.#reader, tree.treeNumber);
    const parentCursors: { readonly cursor: TreeCursor; readonly clientHas: boolean }[] = [];
    for (const { treeNumber, clientHas } of tree.parents) {
      parentCursors.push({ cursor: await readTree(this.#reader, treeNumber), clientHas });
    }
    for (; !cursor.isAtEnd; cursor.next()) {
      let isInherited = cursor.isGitlink;
      const parents: ParentTree[] = [];
      for (const { cursor: parentCursor, clientHas } of parentCursors) {
        if (!this.#advanceTo(parentCursor, cursor, clientHas) || parentCursor.isGitlink) continue;
        if (cursor.hasSameId(parentCursor)) isInherited = true;
        const treeNumber = cursor.isTree ? this.#find(parentCursor) : -1;
        if (treeNumber >= 0 && parentCursor.isTree) parents.push({ treeNumber, clientHas });
      }
      if (isInherited) continue;
      const objectNumber = this.#find(cursor);
      if (objectNumber < 0) throw missingEntry(this.#reader, tree.treeNumber);
      if (!cursor.isTree) {
        const deciding = this.#visits.visitBlob(objectNumber, tree.place, cursor);
        if (deciding !== undefined) await deciding;
        continue;
      }
      const place = await this.#visits.placeOf(tree.place, cursor);
      if (this.#visits.enterTree(objectNumber, place)) {
        pending.push({ treeNumber: objectNumber, parents, place });
      }
    }
  }

  /** Moves the parent's cursor to the entry with `target`'s name. @returns Whether there is one. */
  #advanceTo(cursor: TreeCursor, target: TreeCursor, clientHas: boolean): boolean {
    for (; !cursor.isAtEnd; cursor.next()) {
      const order = cursor.compareName(target);
      if (clientHas && order <= 0) this.#markClientHas(cursor);
      if (order >= 0) return order === 0;
    }
    return false;
  }

  #markClientHas(cursor: TreeCursor): void {
    const objectNumber = cursor.isGitlink ? -1 : this.#find(cursor);
    if (objectNumber >= 0) this.#marks.markClientHas(objectNumber, cursor.isTree ? "tree" : "blob");
  }

  #find(cursor: TreeCursor): number {
    return this.#reader.find(cursor.bytes, cursor.idStart);
  }
}

/** Decides, for each object as a walk comes by it at some place, whether it is sent and whether to look into it. */

import type { ObjectNumber } from "../object-numbers.ts";
import type { TreeCursor } from "../objects.ts";
import type { ObjectReader } from "../ports.ts";
import type { ObjectFilter } from "./object-filter.ts";
import type { ObjectMarks } from "./object-marks.ts";
import { MatchBudget } from "./sparse-patterns.ts";

/** Depth and path of a tree below its commit. */
export interface TreePlace {
  /** Of the tree's entries. */
  readonly entryDepth: number;
  /** With a slash at the end, one byte in each character; empty for a root, and if no filter asks for it. */
  readonly path: string;
  /** What a sparse filter says of entries that none of its patterns matches, for each such filter. */
  readonly sparseDefaults: readonly boolean[];
}

/** Of a tree that is wanted by name: as in git, its entries count as deep as a commit's tree. */
export const WANTED_ROOT_PLACE: TreePlace = { entryDepth: 0, path: "", sparseDefaults: [] };

const latin1 = new TextDecoder("latin1");

export class TreeVisits {
  readonly #reader: ObjectReader;
  readonly #marks: ObjectMarks;
  readonly #filter: ObjectFilter | undefined;
  /** A path-dependent filter looks at a tree again for each path, and trees can nest so that paths multiply without end. */
  readonly #matchBudget: MatchBudget;
  #rootPlace: TreePlace | undefined;
  /** The least depth at which a tree was entered; only kept with a filter. */
  readonly #enteredDepths = new Map<number, number>();

  constructor(reader: ObjectReader, marks: ObjectMarks, filter: ObjectFilter | undefined) {
    this.#reader = reader;
    this.#marks = marks;
    this.#filter = filter;
    this.#matchBudget = new MatchBudget(reader.slices);
  }

  /** Of a commit's tree. */
  async rootPlace(): Promise<TreePlace> {
    this.#rootPlace ??= { entryDepth: 1, path: "", sparseDefaults: await this.#sparseVerdicts("", true, []) };
    return this.#rootPlace;
  }

  /** Marks the tree as sent if it is to be. @returns Whether to look at its entries. */
  enterTree(treeNumber: ObjectNumber, { entryDepth }: TreePlace): boolean {
    const marks = this.#marks;
    const filter = this.#filter;
    if (filter === undefined) {
      if (marks.isSettled(treeNumber)) return false;
      marks.markSent(treeNumber);
      return true;
    }
    if (marks.clientHas(treeNumber) || entryDepth > filter.maxDepth) return false;
    if (filter.types.has("tree")) marks.markSent(treeNumber);
    if (entryDepth >= filter.maxDepth) return false;
    if (filter.sparse.length > 0) return true;
    const depth = filter.maxDepth === Number.POSITIVE_INFINITY ? 0 : entryDepth;
    if (depth >= (this.#enteredDepths.get(treeNumber) ?? Number.POSITIVE_INFINITY)) return false;
    this.#enteredDepths.set(treeNumber, depth);
    return true;
  }

  /** Whether the tree was entered there, or higher up: then what is to be sent of what it holds is marked, or will be. */
  isEntered(treeNumber: ObjectNumber, { entryDepth }: TreePlace): boolean {
    const filter = this.#filter;
    if (filter === undefined) return this.#marks.isSettled(treeNumber);
    if (this.#marks.clientHas(treeNumber)) return true;
    const depth = filter.maxDepth === Number.POSITIVE_INFINITY ? 0 : entryDepth;
    return (this.#enteredDepths.get(treeNumber) ?? Number.POSITIVE_INFINITY) <= depth;
  }

  /** Without a filter by path. */
  placeBelow(parent: TreePlace): TreePlace {
    return this.#filter === undefined ? parent : { ...parent, entryDepth: parent.entryDepth + 1 };
  }

  async placeOf(parent: TreePlace, { bytes, nameStart, nameEnd }: TreeCursor): Promise<TreePlace> {
    const entryDepth = parent.entryDepth + 1;
    const sparse = this.#filter?.sparse ?? [];
    if (sparse.length === 0) return { ...parent, entryDepth };
    const path = parent.path + latin1.decode(bytes.subarray(nameStart, nameEnd));
    const sparseDefaults = await this.#sparseVerdicts(path, true, parent.sparseDefaults);
    return { entryDepth, path: `${path}/`, sparseDefaults };
  }

  /** Marks the blob as sent if it is to be. @returns What to wait for, if that takes a look at the blob. */
  visitBlob(
    blobNumber: number,
    place: TreePlace,
    { bytes, nameStart, nameEnd }: TreeCursor,
  ): Promise<void> | undefined {
    const filter = this.#filter;
    if (this.#marks.isSettled(blobNumber)) return undefined;
    if (filter === undefined) {
      this.#marks.markSent(blobNumber);
      return undefined;
    }
    if (!filter.types.has("blob") || filter.maxBlobBytes === 0 || place.entryDepth >= filter.maxDepth)
      return undefined;
    if (filter.sparse.length > 0) {
      const path = place.path + latin1.decode(bytes.subarray(nameStart, nameEnd));
      return this.#markIfMatched(blobNumber, path, place, filter.maxBlobBytes);
    }
    if (filter.maxBlobBytes < Number.POSITIVE_INFINITY)
      return this.#markIfSmall(blobNumber, filter.maxBlobBytes);
    this.#marks.markSent(blobNumber);
    return undefined;
  }

  async #markIfMatched(
    blobNumber: number,
    path: string,
    { sparseDefaults }: TreePlace,
    maxBlobBytes: number,
  ): Promise<void> {
    if ((await this.#sparseVerdicts(path, false, sparseDefaults)).includes(false)) return;
    if (maxBlobBytes < Number.POSITIVE_INFINITY) await this.#markIfSmall(blobNumber, maxBlobBytes);
    else this.#marks.markSent(blobNumber);
  }

  /** The same without a filter by path, of a blob whose size is known. */
  visitSizedBlob(blobNumber: number, { entryDepth }: TreePlace, sizeBytes: number): void {
    const filter = this.#filter;
    if (this.#marks.isSettled(blobNumber)) return;
    if (filter !== undefined) {
      if (!filter.types.has("blob") || sizeBytes >= filter.maxBlobBytes || entryDepth >= filter.maxDepth)
        return;
    }
    this.#marks.markSent(blobNumber);
  }

  async #markIfSmall(blobNumber: number, maxBlobBytes: number): Promise<void> {
    if ((await this.#reader.readSize(blobNumber)) < maxBlobBytes) this.#marks.markSent(blobNumber);
  }

  /** For each sparse filter. @param defaults - What they say of the folder. */
  async #sparseVerdicts(path: string, isFolder: boolean, defaults: readonly boolean[]): Promise<boolean[]> {
    const verdicts: boolean[] = [];
    for (const [index, patterns] of (this.#filter?.sparse ?? []).entries()) {
      const verdict = await patterns.includes(path, isFolder, this.#matchBudget);
      verdicts.push(verdict ?? defaults[index] ?? false);
    }
    return verdicts;
  }
}

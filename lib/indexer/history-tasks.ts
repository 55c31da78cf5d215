/** The parts of building a pack's history that any thread can do. */
import { CorruptPackError } from "../errors.ts";
import { introducedObjects, NO_OBJECT } from "../git/history/compare-commits.ts";
import type { HistoryLimits } from "../git/history/history-budget.ts";
import { NONE, partOf, TREE_ENTRY_GONE } from "../git/history/pack-history.ts";
import { type RecordedTrees, TreeRecords } from "../git/history/tree-records.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../git/object-id.ts";
import { parseCommit, parseTag } from "../git/objects.ts";
import { EntryTable, type SharedEntryTable } from "../git/pack/entry-table.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { DeltaResolver } from "../git/pack/resolve-deltas.ts";

/** Of entries that a resolver reads. */
export interface EntriesTask {
  readonly table: SharedEntryTable;
  readonly entryCount: number;
}

interface IndexedEntriesTask extends EntriesTask {
  /** The pack's index, and by its numbers the entries' numbers. */
  readonly index: Uint8Array;
  readonly order: Uint32Array;
}

export interface ReadCommitsTask extends IndexedEntriesTask {
  /** Index numbers. */
  readonly commits: Uint32Array;
  readonly tags: Uint32Array;
}

/** Columns in the order of the task's commits. An object of another pack is written as objects + its external's place. */
export interface ReadCommits {
  readonly seconds: Float64Array;
  readonly trees: Uint32Array;
  readonly parentEnds: Uint32Array;
  readonly parents: Uint32Array;
  /** In the order of the task's tags. */
  readonly tagTargets: Uint32Array;
  /** 20 bytes each, each once. */
  readonly externalIds: Uint8Array;
}

export function readCommits(
  { index, order, commits, tags }: ReadCommitsTask,
  resolver: DeltaResolver,
): ReadCommits {
  const externals = new Externals(new PackIndex(index));
  const reference = (id: ObjectId): number => externals.reference(id);
  const seconds = new Float64Array(commits.length);
  const trees = new Uint32Array(commits.length);
  const parentEnds = new Uint32Array(commits.length);
  const parents: number[] = [];
  const read = (number: number): Uint8Array => {
    const [body] = resolver.read([order[number] as number]);
    if (body === undefined) throw new CorruptPackError("object was not read");
    return body.bytes.subarray(body.start, body.start + body.sizeBytes);
  };
  commits.forEach((commit, i) => {
    const { treeId, parentIds, committedAtSeconds } = parseCommit(read(commit));
    seconds[i] = committedAtSeconds;
    trees[i] = reference(treeId);
    for (const parentId of parentIds) parents.push(reference(parentId));
    parentEnds[i] = parents.length;
  });
  return {
    seconds,
    trees,
    parentEnds,
    parents: Uint32Array.from(parents),
    tagTargets: tags.map((tag) => reference(parseTag(read(tag)).targetId)),
    externalIds: externals.ids(),
  };
}

/** In place of a tree that is not in the pack. */
export const TREE_ELSEWHERE = 0xffffffff;

export interface IntroduceTask extends IndexedEntriesTask {
  /** Of each commit of the pack: its tree's index number, and those of its parents. */
  readonly trees: Uint32Array;
  readonly parentEnds: Uint32Array;
  readonly parentTrees: Uint32Array;
  /** The commits to work out. */
  readonly firstRow: number;
  readonly endRow: number;
  readonly limits: HistoryLimits;
}

/** Columns in the order of the task's rows. */
export interface Introduced {
  readonly ends: Uint32Array;
  /** Index numbers. */
  readonly objects: Uint32Array;
  /** Of each of these, or {@link NONE}. */
  readonly predecessors: Uint32Array;
  /** Rows that need what is not in the pack; they introduce nothing here. */
  readonly openRows: Uint32Array;
  readonly comparedBytes: number;
  readonly treeRecords: RecordedTrees;
  /** Of objects that trees hold and the pack does not: 20 bytes each, each once. */
  readonly externalIds: Uint8Array;
}

/** @returns `undefined` if the limits do not allow it. */
export function introduce(task: IntroduceTask, resolver: DeltaResolver): Introduced | undefined {
  const { index, order, trees, parentEnds, parentTrees, firstRow, endRow, limits } = task;
  const packIndex = new PackIndex(index);
  const { sizes } = new EntryTable(task.table);
  const find = (bytes: Uint8Array, start: number): number => packIndex.findBytes(bytes, start);
  const local = (tree: number): number => (tree === TREE_ELSEWHERE ? NO_OBJECT : tree);
  const externals = new Externals(packIndex);
  const records = new TreeRecords(externals.referenceAt, limits.maxTreeChangesAtOnce);
  const ends = new Uint32Array(endRow - firstRow);
  const objects: number[] = [];
  const predecessors: number[] = [];
  const openRows: number[] = [];
  let comparedBytes = 0;
  for (let row = firstRow; row < endRow; row++) {
    const parents = Array.from(partOf(parentTrees, parentEnds, row), local);
    records.beginCommit(row);
    const steps = introducedObjects(local(trees[row] as number), parents, find, records);
    let step = steps.next();
    while (!step.done) {
      const entries = step.value.map((number) => order[number] as number);
      const heldBytes = entries.reduce((sum, entry) => sum + (sizes[entry] as number), 0);
      comparedBytes += heldBytes;
      if (heldBytes > limits.maxHeldBytes || comparedBytes > limits.maxComparedBytes) return undefined;
      step = steps.next(resolver.read(entries));
    }
    if (step.value === undefined) {
      openRows.push(row);
      records.dropCommit();
    } else {
      for (const number of step.value.objects) objects.push(number);
      for (const number of step.value.predecessors) predecessors.push(number);
    }
    if (objects.length > limits.maxIntroducedAtOnce) return undefined;
    ends[row - firstRow] = objects.length;
  }
  return {
    ends,
    objects: Uint32Array.from(objects),
    predecessors: Uint32Array.from(predecessors, (number) => (number === NO_OBJECT ? NONE : number)),
    openRows: Uint32Array.from(openRows),
    comparedBytes,
    treeRecords: records.columns(),
    externalIds: externals.ids(),
  };
}

/** How a history writes objects: by their numbers in the pack's index, those of other packs above these, as they are first named. */
export class Externals {
  readonly #packIndex: PackIndex;
  readonly #places = new Map<ObjectId, number>();

  constructor(packIndex: PackIndex) {
    this.#packIndex = packIndex;
  }

  /** Of the object whose id is at `bytes[start]`. */
  readonly referenceAt = (bytes: Uint8Array, start: number): number => {
    const number = this.#packIndex.findBytes(bytes, start);
    return number >= 0 ? number : this.#external(objectIdAt(bytes, start));
  };

  reference(id: ObjectId): number {
    const number = this.#packIndex.find(id);
    return number >= 0 ? number : this.#external(id);
  }

  #external(id: ObjectId): number {
    const known = this.#places.get(id);
    const place = known ?? this.#places.size;
    if (known === undefined) this.#places.set(id, place);
    return this.#packIndex.objectCount + place;
  }

  /** References by another one's externals become references by these; {@link TREE_ENTRY_GONE} stays. */
  renumber(references: Uint32Array, { externalIds }: Pick<ReadCommits, "externalIds">): Uint32Array {
    if (externalIds.length === 0) return references;
    return references.map((reference) => {
      const isGone = reference >= TREE_ENTRY_GONE;
      const place = (isGone ? reference - TREE_ENTRY_GONE : reference) - this.#packIndex.objectCount;
      if (place < 0) return reference;
      const number = this.#external(objectIdAt(externalIds, place * OBJECT_ID_BYTES));
      return isGone ? number + TREE_ENTRY_GONE : number;
    });
  }

  /** 20 bytes each. */
  ids(): Uint8Array {
    return new Uint8Array(Buffer.from([...this.#places.keys()].join(""), "hex"));
  }
}

/** The parts of building a pack's history that any thread can do. */
import { CorruptPackError } from "../errors.ts";
import { introducedObjects, NO_OBJECT } from "../git/history/compare-commits.ts";
import type { HistoryLimits } from "../git/history/history-budget.ts";
import { NONE } from "../git/history/pack-history.ts";
import { type RecordedTrees, TreeRecords } from "../git/history/tree-records.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt, objectIdBytes } from "../git/object-id.ts";
import { parseCommit, parseTag } from "../git/objects.ts";
import { EntryTable, type SharedEntryTable } from "../git/pack/entry-table.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { DeltaResolver } from "../git/pack/resolve-deltas.ts";

interface PackInMemory {
  readonly table: SharedEntryTable;
  readonly entryCount: number;
  /** The pack's index, and by its numbers the entries' numbers. */
  readonly index: Uint8Array;
  readonly order: Uint32Array;
}

export interface ReadCommitsTask extends PackInMemory {
  readonly kind: "read-commits";
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
  const packIndex = new PackIndex(index);
  const externals = new ExternalIds(packIndex);
  const reference = (id: ObjectId): number => externals.reference(objectIdBytes(id), 0);
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

export interface IntroduceTask extends PackInMemory {
  readonly kind: "introduce";
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
  const externals = new ExternalIds(packIndex);
  const records = new TreeRecords(externals.reference, limits.maxTreeChangesAtOnce);
  const ends = new Uint32Array(endRow - firstRow);
  const objects: number[] = [];
  const predecessors: number[] = [];
  const openRows: number[] = [];
  let comparedBytes = 0;
  for (let row = firstRow; row < endRow; row++) {
    const parentStart = row === 0 ? 0 : (parentEnds[row - 1] as number);
    const parents = Array.from(parentTrees.subarray(parentStart, parentEnds[row]), local);
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

/** Numbers for objects of other packs, above those of the index. */
class ExternalIds {
  readonly #packIndex: PackIndex;
  readonly #places = new Map<ObjectId, number>();

  constructor(packIndex: PackIndex) {
    this.#packIndex = packIndex;
  }

  readonly reference = (bytes: Uint8Array, start: number): number => {
    const number = this.#packIndex.findBytes(bytes, start);
    if (number >= 0) return number;
    const id = objectIdAt(bytes, start);
    let place = this.#places.get(id);
    if (place === undefined) {
      place = this.#places.size;
      this.#places.set(id, place);
    }
    return this.#packIndex.objectCount + place;
  };

  ids(): Uint8Array {
    const ids = new Uint8Array(this.#places.size * OBJECT_ID_BYTES);
    for (const [id, place] of this.#places) ids.set(objectIdBytes(id), place * OBJECT_ID_BYTES);
    return ids;
  }
}

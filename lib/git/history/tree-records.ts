/** Notes what trees hold while commits are compared, and makes columns of the notes. */
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import { Uint32Vector } from "../walk/uint32-vector.ts";
import { NO_OBJECT, type TreeRecorder } from "./compare-commits.ts";
import { NONE, partOf, TREE_ENTRY_GONE, TREE_KIND, type TreeColumns } from "./pack-history.ts";

/** Columns of one length, but for the changes; objects are written as in the pack's history. */
export interface RecordedTrees {
  readonly trees: Uint32Array;
  /** The tree that the changes are to, or {@link NONE}. */
  readonly predecessors: Uint32Array;
  /** Of the commit that introduces the tree. */
  readonly rows: Uint32Array;
  readonly changeEnds: Uint32Array;
  /** See {@link TreeColumns}. */
  readonly changes: Uint32Array;
}

/** Each tree once, as the first commit has it. Takes commits in the order of their rows. */
export class TreeRecords implements TreeRecorder {
  readonly #reference: (bytes: Uint8Array, idStart: number) => number;
  readonly #maxChanges: number;
  readonly #seen = new Set<number>();
  readonly #trees: number[] = [];
  readonly #predecessors: number[] = [];
  readonly #rows: number[] = [];
  readonly #changeEnds: number[] = [];
  readonly #changes: number[] = [];
  #row = 0;
  #rowStart = 0;

  /**
   * @param reference - How an object is written.
   * @param maxChanges - What is beyond them is not recorded, and has to be read when it is needed.
   */
  constructor(reference: (bytes: Uint8Array, idStart: number) => number, maxChanges: number) {
    this.#reference = reference;
    this.#maxChanges = maxChanges;
  }

  beginCommit(row: number): void {
    this.#row = row;
    this.#rowStart = this.#trees.length;
  }

  /** Forgets the commit that was begun last: not all of it is here. */
  dropCommit(): void {
    for (const tree of this.#trees.splice(this.#rowStart)) this.#seen.delete(tree);
    for (const column of [this.#predecessors, this.#rows, this.#changeEnds]) column.length = this.#rowStart;
    this.#changes.length = this.#changeEnds.at(-1) ?? 0;
  }

  begin(tree: number, predecessor: number): boolean {
    if (this.#seen.has(tree) || this.#changes.length >= this.#maxChanges) return false;
    this.#seen.add(tree);
    this.#trees.push(tree);
    this.#predecessors.push(predecessor === NO_OBJECT ? NONE : predecessor);
    this.#rows.push(this.#row);
    this.#changeEnds.push(this.#changes.length);
    return true;
  }

  add(bytes: Uint8Array, idStart: number): void {
    this.#push(this.#reference(bytes, idStart));
  }

  remove(bytes: Uint8Array, idStart: number): void {
    this.#push(this.#reference(bytes, idStart) + TREE_ENTRY_GONE);
  }

  #push(change: number): void {
    this.#changes.push(change);
    this.#changeEnds[this.#changeEnds.length - 1] = this.#changes.length;
  }

  columns(): RecordedTrees {
    return {
      trees: Uint32Array.from(this.#trees),
      predecessors: Uint32Array.from(this.#predecessors),
      rows: Uint32Array.from(this.#rows),
      changeEnds: Uint32Array.from(this.#changeEnds),
      changes: Uint32Array.from(this.#changes),
    };
  }
}

/**
 * The first commit that introduces a tree says what the tree holds. So its predecessor is introduced by an earlier one, and
 * following predecessors comes to an end.
 * @param parts - Each in the order of rows.
 * @param types - Of the pack's objects.
 * @param predecessors - Theirs; those of trees are set to what the records say.
 */
export function joinTreeRecords(
  parts: readonly RecordedTrees[],
  types: Uint8Array,
  predecessors: Uint32Array,
  maxChanges: number,
): TreeColumns {
  const firstPart = new Int32Array(types.length).fill(-1);
  const firstPlace = new Uint32Array(types.length);
  for (const [part, { trees, rows }] of parts.entries()) {
    for (let place = 0; place < trees.length; place++) {
      const tree = trees[place] as number;
      const known = parts[firstPart[tree] as number];
      if (
        known !== undefined &&
        (known.rows[firstPlace[tree] as number] as number) <= (rows[place] as number)
      )
        continue;
      firstPart[tree] = part;
      firstPlace[tree] = place;
    }
  }
  const columns = new TreeColumnsBuilder();
  for (let tree = 0; tree < types.length; tree++) {
    if (types[tree] !== OBJECT_TYPE.tree) continue;
    const part = parts[firstPart[tree] as number];
    let kind: number = TREE_KIND.unknown;
    if (part !== undefined && columns.changeCount < maxChanges) {
      const place = firstPlace[tree] as number;
      const predecessor = part.predecessors[place] as number;
      const before = parts[firstPart[predecessor] ?? -1];
      const rowBefore = before?.rows[firstPlace[predecessor] as number] ?? -1;
      // Where the limits have left out the first record of a tree, predecessors might go round in a circle.
      const isInOrder = rowBefore < (part.rows[place] as number);
      if (predecessor === NONE) kind = TREE_KIND.whole;
      else if (isInOrder) {
        kind = TREE_KIND.changed;
        predecessors[tree] = predecessor;
      }
    }
    const isKnown = part !== undefined && kind !== TREE_KIND.unknown;
    columns.add(kind, isKnown ? partOf(part.changes, part.changeEnds, firstPlace[tree] as number) : []);
  }
  return columns.columns();
}

/** Columns over trees, added one after the other. */
export class TreeColumnsBuilder {
  readonly #kinds: number[] = [];
  readonly #ends = new Uint32Vector();
  readonly #changes = new Uint32Vector();

  get changeCount(): number {
    return this.#changes.length;
  }

  add(kind: number, changes: Iterable<number>): void {
    for (const change of changes) this.#changes.push(change);
    this.#kinds.push(kind);
    this.#ends.push(this.#changes.length);
  }

  columns(): TreeColumns {
    return {
      treeKinds: Uint8Array.from(this.#kinds),
      treeChangeEnds: this.#ends.values().slice(),
      treeChanges: this.#changes.values().slice(),
    };
  }
}

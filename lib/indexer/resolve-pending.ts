/** Resolves the deltas that the scan left, in rounds, and completes a thin pack with the bases it lacks. */
import { CorruptPackError } from "../errors.ts";
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../git/object-id.ts";
import type { ScannedEntries } from "../git/pack/entry-columns.ts";
import { EntryTable } from "../git/pack/entry-table.ts";
import { DELTA_TYPE, OBJECT_TYPE } from "../git/pack/pack-format.ts";
import { appendBases, type PackInFile } from "./append-bases.ts";
import type { IndexThread } from "./index-threads.ts";

export interface ResolvedPack {
  readonly table: EntryTable;
  /** With the appended bases. */
  readonly entryCount: number;
}

/**
 * @param stretches - Emptied.
 * @throws {CorruptPackError} A base is neither in the pack nor in the repository. @throws {LimitExceededError}
 */
export async function resolvePending(
  threads: readonly IndexThread[],
  stretches: ScannedEntries[],
  pack: PackInFile,
  onResolved: (objects: number) => void,
): Promise<ResolvedPack> {
  const scannedCount = stretches.reduce((sum, { count }) => sum + count, 0);
  const refDeltaCount = stretches.reduce(
    (sum, { pending }) => sum + pending.baseOffsets.filter((offset) => offset < 0).length,
    0,
  );
  const table = new EntryTable(scannedCount + refDeltaCount);
  const waiting = new WaitingRefDeltas();
  let roots = fillTable(table, stretches, scannedCount, waiting);
  // The table holds all of it now, and they are as large.
  stretches.length = 0;
  let entryCount = scannedCount;
  let basesAppended = false;
  let newlyNamed: Iterable<number> = numbersFrom(0, scannedCount);
  for (;;) {
    roots = [...new Set([...roots, ...waiting.release(table, newlyNamed)])];
    if (roots.length > 0) {
      await resolveRoots(threads, table, entryCount, roots);
      onResolved(entryCount);
      newlyNamed = takeBelow(table, roots);
      roots = [];
    } else if (waiting.size > 0 && !basesAppended) {
      const first = entryCount;
      entryCount = await appendBases(table, entryCount, waiting.baseIds(), pack);
      newlyNamed = numbersFrom(first, entryCount);
      basesAppended = true;
    } else break;
  }
  const unresolved = table.types
    .subarray(0, entryCount)
    .findIndex((type) => type === DELTA_TYPE.ofs || type === DELTA_TYPE.ref);
  if (waiting.size > 0 || unresolved >= 0) {
    throw new CorruptPackError("pack has a delta whose base is nowhere", { baseId: waiting.baseIds()[0] });
  }
  return { table, entryCount };
}

/** Fills the table and hangs each delta whose base is known by offset below it. @returns Resolved entries with deltas below. */
function fillTable(
  table: EntryTable,
  stretches: readonly ScannedEntries[],
  count: number,
  waiting: WaitingRefDeltas,
): number[] {
  let first = 0;
  for (const stretch of stretches) {
    table.fill(first, stretch);
    first += stretch.count;
  }
  const roots: number[] = [];
  first = 0;
  for (const { pending, count: stretchCount } of stretches) {
    pending.numbers.forEach((localNumber, i) => {
      const number = first + localNumber;
      const baseOffsetBytes = pending.baseOffsets[i] as number;
      if (baseOffsetBytes < 0) {
        waiting.add(objectIdAt(pending.baseIds, i * OBJECT_ID_BYTES), number);
        return;
      }
      const base = table.numberAt(baseOffsetBytes, count);
      if (table.firstChildren[base] === -1 && isResolved(table, base)) roots.push(base);
      table.addChild(base, number);
    });
    first += stretchCount;
  }
  return roots;
}

function isResolved(table: EntryTable, number: number): boolean {
  return (table.types[number] as number) <= OBJECT_TYPE.tag;
}

/** REF_DELTAs whose base has no known place yet. */
class WaitingRefDeltas {
  readonly #byBaseId = new Map<ObjectId, number[]>();

  get size(): number {
    return this.#byBaseId.size;
  }

  add(baseId: ObjectId, number: number): void {
    const numbers = this.#byBaseId.get(baseId);
    if (numbers === undefined) this.#byBaseId.set(baseId, [number]);
    else numbers.push(number);
  }

  baseIds(): ObjectId[] {
    return [...this.#byBaseId.keys()];
  }

  /** Hangs the deltas below those of their bases that are among `numbers` and resolved. @returns These bases. */
  release(table: EntryTable, numbers: Iterable<number>): number[] {
    const bases: number[] = [];
    if (this.#byBaseId.size === 0) return bases;
    for (const number of numbers) {
      if (!isResolved(table, number)) continue;
      const id = objectIdAt(table.ids, number * OBJECT_ID_BYTES);
      const deltas = this.#byBaseId.get(id);
      if (deltas === undefined) continue;
      this.#byBaseId.delete(id);
      for (const delta of deltas) table.addChild(number, delta);
      bases.push(number);
    }
    return bases;
  }
}

function* numbersFrom(first: number, end: number): Generator<number, void> {
  for (let number = first; number < end; number++) yield number;
}

/**
 * The deltas below the roots, which have just been resolved; they are taken off the lists. Each is looked at once, so a
 * chain of many rounds costs no more than a short one.
 */
function takeBelow(table: EntryTable, roots: readonly number[]): number[] {
  const { firstChildren, nextSiblings } = table;
  const below: number[] = [];
  const bases = [...roots];
  for (let base = bases.pop(); base !== undefined; base = bases.pop()) {
    for (let child = firstChildren[base] as number; child >= 0; child = nextSiblings[child] as number) {
      below.push(child);
      bases.push(child);
    }
    firstChildren[base] = -1;
  }
  return below;
}

async function resolveRoots(
  threads: readonly IndexThread[],
  table: EntryTable,
  entryCount: number,
  roots: readonly number[],
): Promise<void> {
  const shared = new SharedArrayBuffer(roots.length * 4);
  new Uint32Array(shared).set(roots);
  const task = { table: table.shared, entryCount, roots: shared, nextRoot: new SharedArrayBuffer(4) };
  await Promise.all(threads.map((thread) => thread.run("resolve", task)));
}

/** What goes into the pack that takes a run's place. */
import type { ObjectNumber } from "../../git/object-numbers.ts";
import { planEntryReading } from "../../git/pack/entry-windows.ts";
import { DELTA_TYPE, decodeEntryHead } from "../../git/pack/pack-format.ts";
import type { PackedObjects } from "../../git/ports.ts";
import { Uint32Vector } from "../../git/walk/uint32-vector.ts";
import type { ManifestPack } from "../manifest.ts";
import type { ObjectDatabase } from "../object-database.ts";
import type { PackRun } from "./policy.ts";

/** All by the repository's numbers. */
export interface RunObjects {
  /** Objects that are taken from these packs, each once. */
  readonly own: Uint32Array;
  /** Objects of older packs that deltas of `own` build on: git wants them in the same pack. */
  readonly bases: Uint32Array;
  /** Whether the object, of whatever pack, may be served. */
  readonly isKept: (objectNumber: ObjectNumber) => boolean;
}

/**
 * @param packs - All of the repository.
 * @param isKept - Whether the object may be served.
 */
export async function objectsOfRun(
  objects: ObjectDatabase,
  packs: readonly ManifestPack[],
  { start, end }: PackRun,
  isKept: (objectNumber: ObjectNumber) => boolean,
): Promise<RunObjects> {
  const own = new Uint32Vector();
  const repeated = new Uint32Vector();
  const firstNumber = packs.slice(0, start).reduce((sum, { objectCount }) => sum + objectCount, 0);
  const isSeen = new Uint8Array(firstNumber);
  for (let packNumber = start; packNumber < end; packNumber++) {
    for (const objectNumber of objects.packs.ownObjects(packNumber))
      if (isKept(objectNumber)) own.push(objectNumber);
    for (const objectNumber of objects.packs.numbersOf(packNumber)) {
      if (objectNumber >= firstNumber || isSeen[objectNumber] === 1 || !isKept(objectNumber)) continue;
      isSeen[objectNumber] = 1;
      repeated.push(objectNumber);
    }
  }
  // What was appended to thin packs was appended because it is a base. What the primary repeated need not be one.
  const hasRepeats = packs.slice(start, end).some(({ repeatedObjectCount }) => repeatedObjectCount > 0);
  if (!hasRepeats) return { own: own.values(), bases: repeated.values(), isKept };
  const isBase = await markBases(objects, own.values(), firstNumber);
  return {
    own: own.values(),
    bases: repeated.values().filter((objectNumber) => isBase[objectNumber] === 1),
    isKept,
  };
}

/** @returns 1 for each object below `endNumber` that a delta of `objectNumbers` builds on. Without a history the heads of all entries are read. */
async function markBases(
  objects: PackedObjects,
  objectNumbers: Uint32Array,
  endNumber: number,
): Promise<Uint8Array> {
  const { packs, history } = objects;
  const isBase = new Uint8Array(endNumber);
  const mark = (base: number): void => {
    if (base >= 0 && base < endNumber) isBase[base] = 1;
  };
  if (history !== undefined) {
    for (const objectNumber of objectNumbers) mark(history.deltaForest.parents[objectNumber] as number);
    return isBase;
  }
  packs.sortByPlace(objectNumbers);
  const { windows } = await planEntryReading(objects, objectNumbers);
  for await (const { places, first, end, packNumber, offsetBytes, bytes } of windows) {
    for (let place = first; place < end; place++) {
      const entryOffsetBytes = places.offsets[place] as number;
      const head = decodeEntryHead(bytes, entryOffsetBytes - offsetBytes, bytes.length);
      if (head.type === DELTA_TYPE.ofs)
        mark(
          packs.objectAt(
            packNumber,
            entryOffsetBytes - head.baseDistanceBytes,
            places.objectNumbers[place] as number,
          ),
        );
      else if (head.type === DELTA_TYPE.ref) mark(objects.find(bytes, head.baseIdIndex));
    }
  }
  return isBase;
}

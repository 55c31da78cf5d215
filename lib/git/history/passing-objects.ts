/** What a clone of everything gets, but for what a filter leaves out: found by passing once through the objects. */

import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { objectTypeName } from "../pack/pack-format.ts";
import type { PackedObjects, RefList } from "../ports.ts";
import { refsStartingWith } from "../upload-pack/find-refs.ts";
import { goesByTypeAndSize, type ObjectFilter, passesFilter } from "../walk/object-filter.ts";
import type { CommitHistory } from "./commit-history.ts";

/** Whether type and size alone decide what passes. Where tags do not, what they point to may be wanted by name. */
export function canPassByColumns(filter: ObjectFilter): boolean {
  return goesByTypeAndSize(filter) && filter.types.has("tag");
}

export interface PassingRequest {
  /** Each value of a ref is among them. */
  readonly wants: Iterable<ObjectId>;
  /** Reach every object that there is. */
  readonly refList: RefList;
  /** One for `canPassByColumns`. */
  readonly filter: ObjectFilter;
}

/** @returns What passes the filter, and what is wanted by name, each once. */
export function passingObjects(
  objects: PackedObjects,
  { types, sizes }: CommitHistory,
  { wants, refList, filter }: PassingRequest,
): Uint32Array {
  const passes = (objectNumber: ObjectNumber): boolean =>
    passesFilter(filter, objectTypeName(types[objectNumber] ?? 0), sizes[objectNumber] ?? 0);
  const passing = objects.packs.allObjects();
  let count = 0;
  for (const objectNumber of passing) {
    if (passes(objectNumber)) passing[count++] = objectNumber;
  }
  const named = [...namedObjects(objects, wants, refList)].filter((objectNumber) => !passes(objectNumber));
  passing.set(named, count);
  return passing.subarray(0, count + named.length);
}

/** The tags between a ref and what it points to in the end pass by themselves. */
function namedObjects(objects: PackedObjects, wants: Iterable<ObjectId>, refList: RefList): Set<number> {
  const named = new Set<number>();
  for (const id of wants) named.add(objects.findId(id));
  for (const { peeledId } of refsStartingWith(refList, "")) {
    if (peeledId !== undefined) named.add(objects.findId(peeledId));
  }
  return named;
}

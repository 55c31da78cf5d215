/** Objects that each stem from at most one other: as the delta of it, or as the next version of it. */
import type { ObjectNumber } from "../object-numbers.ts";
export class ObjectForest {
  /** By object number: the object that this one stems from, or -1. */
  readonly parents: Int32Array;
  #children: { readonly ends: Uint32Array; readonly numbers: Uint32Array } | undefined;

  constructor(objectCount: number) {
    this.parents = new Int32Array(objectCount).fill(-1);
  }

  /** The objects that stem from this one. To be asked once all parents are set. */
  childrenOf(objectNumber: ObjectNumber): Uint32Array {
    this.#children ??= turnedAround(this.parents);
    const { ends, numbers } = this.#children;
    return numbers.subarray(objectNumber === 0 ? 0 : ends[objectNumber - 1], ends[objectNumber]);
  }
}

function turnedAround(parents: Int32Array): { ends: Uint32Array; numbers: Uint32Array } {
  const ends = new Uint32Array(parents.length);
  for (const parent of parents) if (parent >= 0) ends[parent] = (ends[parent] as number) + 1;
  let count = 0;
  for (let i = 0; i < ends.length; i++) {
    const own = ends[i] as number;
    ends[i] = count;
    count += own;
  }
  const numbers = new Uint32Array(count);
  for (let child = 0; child < parents.length; child++) {
    const parent = parents[child] as number;
    if (parent < 0) continue;
    const at = ends[parent] as number;
    numbers[at] = child;
    ends[parent] = at + 1;
  }
  return { ends, numbers };
}

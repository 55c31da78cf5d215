/** Cuts a history into steps, and joins steps to slices: each is a want and haves that any git server answers. */
import { OBJECT_ID_BYTES, type ObjectId, objectIdAt } from "../git/object-id.ts";
import type { PackIndex } from "../git/pack/index-v2.ts";
import type { BuiltHistory } from "../indexer/build-history.ts";
import type { ImportStep } from "../repo/import-notes.ts";

/** Fine enough for slices of 4 MiB of 4 GiB, few enough to write as JSON with each slice. */
const MAX_STEPS = 1024;

/** In place of a step's number: a parent that was stored before the steps. */
const BEFORE_STEPS = -1;

/**
 * @param history, index - Of a pack with all commits that will be fetched, without their trees and blobs.
 * @param firstStep - The number of the first new step.
 */
export function cutIntoSteps(
  { commitObjects, parents, parentEnds, externalIds }: BuiltHistory["history"],
  index: PackIndex,
  firstStep: number,
  maxSteps = MAX_STEPS,
): ImportStep[] {
  const commitCount = commitObjects.length;
  const commitsPerStep = Math.max(1, Math.ceil(commitCount / maxSteps));
  const stepOfObject = new Int32Array(index.objectCount).fill(BEFORE_STEPS);
  commitObjects.forEach((object, row) => {
    stepOfObject[object] = firstStep + Math.floor(row / commitsPerStep);
  });
  const idOf = (reference: number): ObjectId =>
    reference < index.objectCount
      ? index.objectId(reference)
      : objectIdAt(externalIds, (reference - index.objectCount) * OBJECT_ID_BYTES);
  const steps: ImportStep[] = [];
  for (let start = 0; start < commitCount; start += commitsPerStep) {
    const end = Math.min(commitCount, start + commitsPerStep);
    const step = firstStep + steps.length;
    const inner = new Set<number>();
    const outer = new Map<number, number>();
    for (const parent of parents.subarray(start === 0 ? 0 : parentEnds[start - 1], parentEnds[end - 1])) {
      const itsStep = stepOfObject[parent] ?? BEFORE_STEPS;
      if (itsStep === step) inner.add(parent);
      else outer.set(parent, itsStep);
    }
    steps.push({
      wants: [...commitObjects.subarray(start, end)].filter((object) => !inner.has(object)).map(idOf),
      haves: [...outer].map(([parent, itsStep]) => [idOf(parent), itsStep]),
    });
  }
  return steps;
}

export interface Slice {
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
}

/** @param start, end - The wanted steps; all earlier ones are stored. */
export function sliceOf(steps: readonly ImportStep[], start: number, end: number): Slice {
  const wants = new Set<ObjectId>();
  const haves = new Set<ObjectId>();
  const inner = new Set<ObjectId>();
  for (const step of steps.slice(start, end)) {
    for (const id of step.wants) wants.add(id);
    for (const [id, itsStep] of step.haves) (itsStep < start ? haves : inner).add(id);
  }
  // Fetched together with their children.
  for (const id of inner) wants.delete(id);
  return { wants: [...wants], haves: [...haves] };
}

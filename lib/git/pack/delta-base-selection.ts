/**
 * Finds a base at hand for an object whose own base is not: another version of it. What was at its path before and after,
 * and its relatives in the tree of deltas are likely to be similar, so no other candidates are tried.
 */
import type { ObjectNumber } from "../object-numbers.ts";
import type { ObjectForest } from "./object-forest.ts";

/** Steps from version to version, or towards the root of a tree of deltas: git's own chains are 50 long. */
const MAX_STEPS = 64;
/** Relatives looked at for one that can be the base. Mostly the first is one. */
const MAX_RELATIVES = 64;

export interface DeltaBaseSelectionOptions {
  readonly deltaForest: ObjectForest;
  readonly versionForest: ObjectForest;
  /** Whether the object is in the pack already. */
  readonly isWritten: (objectNumber: ObjectNumber) => boolean;
  /** Whether it may be the base of a new delta: written, or the client's, and not too deep. */
  readonly isAtHand: (objectNumber: ObjectNumber) => boolean;
  /** Whether objects that the client has may be bases at all. */
  readonly isThin: boolean;
}

export class DeltaBaseSelection {
  readonly #options: DeltaBaseSelectionOptions;
  /** By an object that is not sent: the object sent last of those below it in its tree of deltas. */
  readonly #sentBelow = new Map<number, number>();

  constructor(options: DeltaBaseSelectionOptions) {
    this.#options = options;
  }

  /** @returns An object's number, or -1. To be asked once for an object, which is written next. */
  choose(objectNumber: ObjectNumber): number {
    const { deltaForest, isAtHand } = this.#options;
    const passed: number[] = [];
    let relative = -1;
    let ancestor = deltaForest.parents[objectNumber] as number;
    for (let step = 0; ancestor >= 0 && relative < 0 && step < MAX_STEPS; step++) {
      relative = isAtHand(ancestor) ? ancestor : this.#sentBelowAtHand(ancestor);
      passed.push(ancestor);
      ancestor = deltaForest.parents[ancestor] as number;
    }
    for (const missing of passed) {
      if (!this.#options.isWritten(missing)) this.#sentBelow.set(missing, objectNumber);
    }
    const neighbour = this.#neighbour(objectNumber);
    if (neighbour >= 0) return neighbour;
    if (relative >= 0) return relative;
    return this.#heldRelative([objectNumber, ...passed]);
  }

  #sentBelowAtHand(ancestor: number): number {
    const sent = this.#sentBelow.get(ancestor) ?? -1;
    return sent >= 0 && this.#options.isAtHand(sent) ? sent : -1;
  }

  /** The nearest version, before or after. */
  #neighbour(objectNumber: ObjectNumber): number {
    const { versionForest, isAtHand } = this.#options;
    let before = versionForest.parents[objectNumber] as number;
    let after = versionForest.childrenOf(objectNumber);
    for (let step = 0; step < MAX_STEPS && (before >= 0 || after.length > 0); step++) {
      if (before >= 0) {
        if (isAtHand(before)) return before;
        before = versionForest.parents[before] as number;
      }
      for (const version of after) if (isAtHand(version)) return version;
      after = after.length === 0 ? after : versionForest.childrenOf(after[0] as number);
    }
    return -1;
  }

  /** @returns The nearest of the deltas below `starts`, and of those below them, that the client has. */
  #heldRelative(starts: readonly number[]): number {
    const { deltaForest, isAtHand, isThin } = this.#options;
    if (!isThin) return -1;
    const pending = [...starts];
    let seen = 0;
    for (let at = 0; at < pending.length; at++) {
      for (const delta of deltaForest.childrenOf(pending[at] as number)) {
        if (isAtHand(delta)) return delta;
        if (++seen === MAX_RELATIVES) return -1;
        pending.push(delta);
      }
    }
    return -1;
  }
}

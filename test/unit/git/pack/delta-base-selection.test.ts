import { describe, expect, test } from "vitest";
import { DeltaBaseSelection } from "../../../../lib/git/pack/delta-base-selection.ts";
import { ObjectForest } from "../../../../lib/git/pack/object-forest.ts";

interface Case {
  /** By object: what its entry is a delta of, and what came before it at its path. */
  readonly deltaOf?: Readonly<Record<number, number>>;
  readonly after?: Readonly<Record<number, number>>;
  readonly written?: readonly number[];
  readonly held?: readonly number[];
}

function choiceOf({ deltaOf = {}, after = {}, written = [], held = [] }: Case): DeltaBaseSelection {
  const forest = (parents: Readonly<Record<number, number>>): ObjectForest => {
    const made = new ObjectForest(10);
    for (const [child, parent] of Object.entries(parents)) made.parents[Number(child)] = parent;
    return made;
  };
  return new DeltaBaseSelection({
    deltaForest: forest(deltaOf),
    versionForest: forest(after),
    isWritten: (objectNumber) => written.includes(objectNumber),
    isAtHand: (objectNumber) => written.includes(objectNumber) || held.includes(objectNumber),
    isThin: held.length > 0,
  });
}

describe("an object whose base is not at hand", () => {
  test("is based on the version before it", () => {
    expect(choiceOf({ deltaOf: { 1: 0 }, after: { 1: 2 }, written: [2] }).choose(1)).toBe(2);
    expect(choiceOf({ deltaOf: { 1: 0 }, after: { 1: 2 }, held: [2] }).choose(1)).toBe(2);
  });

  test("is based on the version after it, and on one further away if nearer ones are missing", () => {
    expect(choiceOf({ after: { 2: 1 }, written: [2] }).choose(1)).toBe(2);
    expect(choiceOf({ after: { 1: 2, 2: 3 }, written: [3] }).choose(1)).toBe(3);
  });

  test("is based on its base's base, if that is there", () => {
    expect(choiceOf({ deltaOf: { 1: 2, 2: 3 }, written: [3] }).choose(1)).toBe(3);
  });

  test("is based on what was sent last of those that lack the same base", () => {
    const written: number[] = [];
    const choice = choiceOf({ deltaOf: { 1: 0, 2: 0, 3: 0 }, written });
    const choose = (objectNumber: number): number => {
      const base = choice.choose(objectNumber);
      written.push(objectNumber);
      return base;
    };
    expect([1, 2, 3].map(choose)).toEqual([-1, 1, 2]);
  });

  test("is based on a delta of it that the client has", () => {
    expect(choiceOf({ deltaOf: { 2: 1, 3: 2 }, held: [3] }).choose(1)).toBe(3);
  });

  test("is based on nothing where nothing is alike", () => {
    expect(choiceOf({ deltaOf: { 1: 0 }, after: { 5: 4 }, written: [4, 5] }).choose(1)).toBe(-1);
  });

  test("is found a base however the forests are turned", () => {
    // Damage could make rings of them.
    expect(choiceOf({ deltaOf: { 1: 2, 2: 1 }, after: { 1: 2, 2: 1 }, held: [9] }).choose(1)).toBe(-1);
  });
});

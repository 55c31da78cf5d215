import { expect, test } from "vitest";
import type { IndexNumber, ObjectNumber } from "../../../lib/git/object-numbers.ts";

test("the compiler keeps kinds of numbers apart, and takes plain numbers for each", () => {
  const asObject = (objectNumber: ObjectNumber): number => objectNumber;
  const indexNumber: IndexNumber = 7;
  // @ts-expect-error - `npm run check` fails if this becomes possible.
  expect(asObject(indexNumber)).toBe(7);
  expect(asObject(indexNumber + 1)).toBe(8);
});

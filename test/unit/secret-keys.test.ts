import { expect, test } from "vitest";
import { secretKeys } from "../../lib/secret-keys.ts";

const OLD = "o".repeat(32);
const NEW = "n".repeat(32);

test("several keys are separated by commas; what is too short for a key is part of a secret with commas", () => {
  expect(secretKeys(OLD)).toEqual([OLD]);
  expect(secretKeys(`${NEW}, ${OLD}`)).toEqual([NEW, OLD]);
  for (const text of ["", "short", "one, two", `${NEW},`, `${NEW},${OLD.slice(1)}`])
    expect(secretKeys(text)).toEqual([text]);
});

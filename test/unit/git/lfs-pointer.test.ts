/** Each row was asked of git-lfs 3.3 itself; test/interop/lfs-pointers.test.ts asks whichever is installed. */
import { describe, expect, test } from "vitest";
import { LFS_OID, NOT_POINTERS, POINTERS, readPointer } from "../../support/lfs/pointer-texts.ts";

const parse = (text: string) => {
  const blob = Buffer.from(text, "utf8");
  // Within other bytes, as in an arena.
  const bytes = Buffer.concat([Buffer.from("version "), blob, Buffer.from("size 9\n")]);
  return readPointer(bytes, 8, 8 + blob.length);
};

describe("what git lfs fetch --all takes", () => {
  test.each(POINTERS)("$name", ({ text, sizeBytes = 11 }) => {
    expect(parse(text(LFS_OID))).toEqual({ oid: LFS_OID, sizeBytes });
  });
});

describe("what it does not take", () => {
  test.each(NOT_POINTERS)("$name", ({ text }) => {
    expect(parse(text(LFS_OID))).toBeUndefined();
  });
});

test("a size that no table can hold is for the primary", () => {
  expect(
    parse(`version https://git-lfs.github.com/spec/v1\noid sha256:${LFS_OID}\nsize 9223372036854775807\n`),
  ).toBe(undefined);
});

import { describe, expect, test } from "vitest";
import { CorruptPackError, errorFields, NotFoundError } from "../../lib/errors.ts";

describe("errorFields", () => {
  test("keeps code, context and the chain of causes", () => {
    const cause = new CorruptPackError("bad entry", { offsetBytes: 12 });
    const error = new NotFoundError("no object", { objectId: "abc", cause });
    expect(errorFields(error)).toEqual({
      code: "NOT_FOUND",
      objectId: "abc",
      message: "no object",
      cause: { code: "CORRUPT_PACK", offsetBytes: 12, message: "bad entry" },
    });
  });

  test("keeps the stack of an error that nobody expected", () => {
    expect(errorFields(new TypeError("x"))).toMatchObject({
      message: "x",
      stack: expect.stringContaining("TypeError: x"),
    });
    expect(errorFields("x")).toEqual({ message: "x" });
  });
});

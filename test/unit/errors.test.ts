import { describe, expect, test } from "vitest";
import { afterCleanUp, CorruptPackError, errorFields, NotFoundError, withCleanUp } from "../../lib/errors.ts";

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

  test("keeps the stack of an unexpected error", () => {
    expect(errorFields(new TypeError("x"))).toMatchObject({
      message: "x",
      stack: expect.stringContaining("TypeError: x"),
    });
    expect(errorFields("x")).toEqual({ message: "x" });
  });
});

describe("a clean-up", () => {
  const first = new NotFoundError("first");
  const second = new Error("second");
  const third = new Error("third");
  const failing = (error: Error) => () => Promise.reject(error);

  test("never replaces the error that it follows", async () => {
    expect(await afterCleanUp(first, async () => undefined)).toBe(first);
    expect(errorFields(first)).toEqual({ code: "NOT_FOUND", message: "first" });
    expect(await afterCleanUp(first, failing(second))).toBe(first);
    expect(await afterCleanUp(first, failing(third))).toBe(first);
    expect(errorFields(first)).toMatchObject({
      suppressed: { message: "second", suppressed: { message: "third" } },
    });
    expect(await afterCleanUp("text", failing(second))).toBe("text");
  });

  test("runs after success and after failure, and fails where it is the first to fail", async () => {
    let count = 0;
    const counting = async () => void count++;
    expect(await withCleanUp(async () => 7, counting)).toBe(7);
    const error = new Error("work");
    await expect(withCleanUp(failing(error), counting)).rejects.toBe(error);
    expect(count).toBe(2);
    await expect(withCleanUp(failing(error), failing(second))).rejects.toBe(error);
    await expect(withCleanUp(async () => 7, failing(second))).rejects.toBe(second);
  });
});

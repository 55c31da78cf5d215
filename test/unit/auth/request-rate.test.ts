import { expect, test } from "vitest";
import { RequestRate, WrongCredentials } from "../../../lib/auth/request-limits.ts";

test("a source may make so many requests a minute, and another one as many", () => {
  let nowMs = 5_000;
  const rate = new RequestRate(2, () => nowMs);
  expect([rate.take("a"), rate.take("a"), rate.take("a")]).toEqual([0, 0, 60]);
  expect(rate.take("b")).toBe(0);
  nowMs += 30_500;
  expect(rate.take("a")).toBe(30);
  nowMs += 29_499;
  expect(rate.take("a")).toBe(1);
  nowMs += 2;
  expect([rate.take("a"), rate.take("a"), rate.take("a")]).toEqual([0, 0, 60]);
});

test("a minute begins with its first request, and no later one makes it longer", () => {
  let nowMs = 5_000;
  const rate = new RequestRate(2, () => nowMs);
  for (let count = 0; count < 2; count++) {
    rate.take("a");
    nowMs += 20_000;
  }
  expect(rate.take("a")).toBe(20);
});

test("without a limit every request is allowed", () => {
  const rate = new RequestRate(0);
  expect(Array.from({ length: 100 }, () => rate.take("a"))).toEqual(Array(100).fill(0));
});

test("different wrong credentials of a source count, each once a minute, and fewer as time passes", () => {
  let nowMs = 5_000;
  const wrong = new WrongCredentials(2, () => nowMs);
  for (const caller of ["one", "one", "one"]) wrong.note("a", caller);
  expect(wrong.isOverLimit("a", "x")).toBe(false);
  wrong.note("a", "two");
  expect([wrong.isOverLimit("a", "x"), wrong.isOverLimit("b", "x")]).toEqual([true, false]);
  for (const caller of ["three", "four", "five"]) wrong.note("a", caller);
  nowMs += 20_000;
  expect(wrong.isOverLimit("a", "x")).toBe(true);
  nowMs += 10_000;
  expect(wrong.isOverLimit("a", "x")).toBe(false);
  nowMs += 60_000;
  wrong.note("a", "one");
  wrong.note("a", "two");
  expect(wrong.isOverLimit("a", "x")).toBe(true);
  const unlimited = new WrongCredentials(0);
  unlimited.note("a", "one");
  expect(unlimited.isOverLimit("a", "x")).toBe(false);
});

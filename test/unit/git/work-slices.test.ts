import { expect, test } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import { nextTurn, WorkSlices } from "../../../lib/git/work-slices.ts";

test("others have their turn between slices, and only then", async () => {
  let timerRan = false;
  setImmediate(() => {
    timerRan = true;
  });
  const slices = new WorkSlices({ sliceSteps: 3 });
  expect(slices.spend(1)).toBeUndefined();
  expect(slices.spend(1)).toBeUndefined();
  await Promise.resolve();
  expect(timerRan).toBe(false);
  await slices.spend(1);
  expect(timerRan).toBe(true);
  expect(slices.spend(2)).toBeUndefined();
});

test("an abort ends the work at the end of a slice", async () => {
  const aborting = new AbortController();
  const slices = new WorkSlices({ sliceSteps: 2, signal: aborting.signal });
  await slices.spend(2);
  aborting.abort();
  expect(slices.spend(1)).toBeUndefined();
  await expect(slices.spend(1)).rejects.toBeInstanceOf(StoppedError);
});

test("an abort during others' turn ends it, too", async () => {
  const aborting = new AbortController();
  const yieldTurn = async () => aborting.abort();
  const slices = new WorkSlices({ sliceSteps: 1, signal: aborting.signal, yieldTurn });
  await expect(slices.spend(1)).rejects.toBeInstanceOf(StoppedError);
});

test("one waiter continues a turn of the event loop, in the order of their calls", async () => {
  const seen: string[] = [];
  const others = (left: number): void => {
    seen.push("others");
    if (left > 0) setImmediate(others, left - 1);
  };
  setImmediate(others, 2);
  await Promise.all(["a", "b", "c"].map((name) => nextTurn().then(() => seen.push(name))));
  expect(seen).toEqual(["others", "a", "others", "b", "others", "c"]);
});

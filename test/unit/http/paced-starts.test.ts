import { expect, test } from "vitest";
import { PacedStarts } from "../../../lib/http/paced-starts.ts";

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("of requests that arrive together 50 start in each turn of the event loop, in their order", async () => {
  const starts = new PacedStarts();
  const started: number[] = [];
  for (let number = 0; number < 170; number++) starts.start(() => started.push(number));
  const counts = [started.length];
  for (let turn = 0; turn < 4; turn++) {
    // One that arrives meanwhile waits behind the others.
    if (turn === 1) starts.start(() => started.push(170));
    await nextTurn();
    counts.push(started.length);
  }
  expect(counts).toEqual([50, 100, 150, 171, 171]);
  expect(started).toEqual(Array.from({ length: 171 }, (_, number) => number));
  starts.start(() => started.push(171));
  expect(started).toHaveLength(172);
});

import { expect, test } from "vitest";
import { PacedStarts } from "../../../lib/http/paced-starts.ts";

const ownerOf = () => ({ address: "192.0.2.1", credential: "a" });
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("of requests that arrive together 50 start in each turn of the event loop, in their order", async () => {
  const starts = new PacedStarts();
  const started: number[] = [];
  for (let number = 0; number < 170; number++) starts.start(() => started.push(number), ownerOf);
  const counts = [started.length];
  for (let turn = 0; turn < 4; turn++) {
    // One that arrives meanwhile waits behind the others.
    if (turn === 1) starts.start(() => started.push(170), ownerOf);
    await nextTurn();
    counts.push(started.length);
  }
  expect(counts).toEqual([50, 100, 150, 171, 171]);
  expect(started).toEqual(Array.from({ length: 171 }, (_, number) => number));
  starts.start(() => started.push(171), ownerOf);
  expect(started).toHaveLength(172);
});

test("one that waits behind a thousand of another address, or of another credential, starts in the next turn", async () => {
  const starts = new PacedStarts();
  const started: string[] = [];
  const start = (address: string, credential: string) =>
    starts.start(
      () => started.push(`${address} ${credential}`),
      () => ({ address, credential }),
    );
  for (let number = 0; number < 1_000; number++) start("192.0.2.1", number < 500 ? "one" : `guess ${number}`);
  start("192.0.2.1", "one");
  start("192.0.2.2", "other");
  start("192.0.2.3", "");
  await nextTurn();
  expect(started).toHaveLength(100);
  expect(started.slice(50, 60)).toEqual([
    "192.0.2.1 one",
    "192.0.2.2 other",
    "192.0.2.3 ",
    ...Array.from({ length: 7 }, (_, number) => `192.0.2.1 guess ${500 + number}`),
  ]);
  for (let turn = 0; turn < 19; turn++) await nextTurn();
  expect(started).toHaveLength(1_003);
});

import { expect, test } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import { EventLoopTurns, type Turns, WorkSlices } from "../../../lib/git/work-slices.ts";

/** Each turn has room for so many steps. */
function shortTurns(turnSteps: number, onTurn: () => void = () => undefined): Turns {
  let steps = 0;
  return {
    spend(more) {
      steps += more;
      return steps >= turnSteps;
    },
    async next() {
      steps = 0;
      onTurn();
    },
  };
}

test("others have their turn between slices, and only then", async () => {
  let othersRan = false;
  setImmediate(() => {
    othersRan = true;
  });
  const slices = new WorkSlices();
  expect(slices.spend(1)).toBeUndefined();
  await Promise.resolve();
  expect(othersRan).toBe(false);
  await slices.spend(1_000_000);
  expect(othersRan).toBe(true);
  expect(slices.spend(2)).toBeUndefined();
});

test("short pieces of many requests share the turn", async () => {
  const turns = new EventLoopTurns();
  const requests = Array.from({ length: 100 }, () => new WorkSlices({ turns }));
  const paused = requests.filter((slices) => slices.spend(500) !== undefined);
  expect(paused.length).toBeGreaterThanOrEqual(90);
});

test("work whose steps take longer than they should pauses by the clock", () => {
  const turns = new EventLoopTurns();
  const slices = new WorkSlices({ turns });
  expect(slices.spend(1)).toBeUndefined();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  expect(slices.spend(1_000)).toBeInstanceOf(Promise);
});

test("an abort ends the work at the end of a slice", async () => {
  const aborting = new AbortController();
  const slices = new WorkSlices({ turns: shortTurns(2), signal: aborting.signal });
  await slices.spend(2);
  aborting.abort();
  expect(slices.spend(1)).toBeUndefined();
  await expect(slices.spend(1)).rejects.toBeInstanceOf(StoppedError);
});

test("an abort during others' turn ends it, too", async () => {
  const aborting = new AbortController();
  const turns = shortTurns(1, () => aborting.abort());
  const slices = new WorkSlices({ turns, signal: aborting.signal });
  await expect(slices.spend(1)).rejects.toBeInstanceOf(StoppedError);
});

test("one waiter continues a turn of the event loop, in the order of their calls", async () => {
  const turns = new EventLoopTurns();
  const seen: string[] = [];
  const others = (left: number): void => {
    seen.push("others");
    if (left > 0) setImmediate(others, left - 1);
  };
  setImmediate(others, 2);
  await Promise.all(["a", "b", "c"].map((name) => turns.next(0).then(() => seen.push(name))));
  expect(seen).toEqual(["others", "a", "others", "b", "others", "c"]);
});

test("work that has paused often waits for shorter work, but not without end", async () => {
  const turns = new EventLoopTurns();
  const seen: string[] = [];
  const waits = Array.from({ length: 4 }, (_, n) => turns.next(50).then(() => seen.push(`long ${n}`)));
  waits.push(...Array.from({ length: 6 }, (_, n) => turns.next(0).then(() => seen.push(`short ${n}`))));
  await Promise.all(waits);
  expect(seen.slice(0, 6)).toEqual(["short 0", "short 1", "short 2", "long 0", "short 3", "short 4"]);
});

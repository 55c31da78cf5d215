import { expect, test } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import { EventLoopTurns, type Turns, WorkSlices, workOwner } from "../../../lib/git/work-slices.ts";

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
  await Promise.all(["a", "b", "c"].map((name) => turns.next({ pauseCount: 0 }).then(() => seen.push(name))));
  expect(seen).toEqual(["others", "a", "others", "b", "others", "c"]);
});

test("work that has paused often waits for shorter work, but not without end", async () => {
  const turns = new EventLoopTurns();
  const seen: string[] = [];
  const waits = Array.from({ length: 4 }, (_, n) =>
    turns.next({ pauseCount: 50 }).then(() => seen.push(`long ${n}`)),
  );
  waits.push(
    ...Array.from({ length: 6 }, (_, n) => turns.next({ pauseCount: 0 }).then(() => seen.push(`short ${n}`))),
  );
  await Promise.all(waits);
  expect(seen.slice(0, 6)).toEqual(["short 0", "short 1", "short 2", "long 0", "short 3", "short 4"]);
});

test("one owner's many long works leave most turns to another one, however much that has", async () => {
  const turns = new EventLoopTurns();
  const seen: string[] = [];
  const work = async (owner: string, turnCount: number) => {
    for (let pauseCount = 0; pauseCount < turnCount; pauseCount++) {
      await turns.next({ owner, pauseCount });
      seen.push(owner);
    }
  };
  const busy = Promise.all(Array.from({ length: 40 }, () => work("busy", 50)));
  while (seen.length < 400) await turns.next({ owner: "busy", pauseCount: 9 });
  const from = seen.length;
  await work("other", 60);
  const others = seen.slice(from).filter((owner) => owner === "busy").length;
  expect(others).toBeGreaterThanOrEqual(15);
  expect(others).toBeLessThanOrEqual(30);
  await busy;
  // Both get turns when both have had as many.
  expect(seen.filter((owner) => owner === "busy")).toHaveLength(2_000);
});

test("work counts to whom it is begun for", async () => {
  const owners: (string | undefined)[] = [];
  const turns: Turns = { spend: () => true, next: async ({ owner }) => void owners.push(owner) };
  const slices = workOwner.run("a", () => new WorkSlices({ turns }));
  await workOwner.run("b", () => slices.spend(1));
  await new WorkSlices({ turns }).spend(1);
  expect(owners).toEqual(["a", undefined]);
});

import { expect, test } from "vitest";
import { StoppedError } from "../../../lib/errors.ts";
import {
  EventLoopTurns,
  TurnOwner,
  type Turns,
  WorkSlices,
  workOwner,
} from "../../../lib/git/work-slices.ts";

/** Each turn has room for so many steps. */
function shortTurns(turnSteps: number, onTurn: () => void = () => undefined): Turns {
  let steps = 0;
  return {
    ownerOf: (name) => new TurnOwner(name),
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
  await Promise.all(
    ["a", "b", "c"].map((name) => turns.next(new TurnOwner(), 0).then(() => seen.push(name))),
  );
  expect(seen).toEqual(["others", "a", "others", "b", "others", "c"]);
});

test("a small request of an owner goes before its long ones", async () => {
  const turns = new EventLoopTurns();
  const owner = turns.ownerOf("a");
  const seen: string[] = [];
  const works = [
    ["long 0", 50],
    ["long 1", 50],
    ["short 0", 0],
    ["short 1", 1],
  ] as const;
  await Promise.all(
    works.map(([name, pauseCount]) => turns.next(owner, pauseCount).then(() => seen.push(name))),
  );
  expect(seen).toEqual(["short 0", "short 1", "long 0", "long 1"]);
});

/** Steps that an owner may use in a turn. */
const TURN_OF_OWNER = 2_000;

/** Works of many owners, each of which waits for one turn after another. */
function busyOwners(turns: EventLoopTurns, ownerCount: number, worksOfEach: number) {
  const seen: string[] = [];
  let isBusy = true;
  const work = async (name: string): Promise<void> => {
    const owner = turns.ownerOf(name);
    for (let pauseCount = 0; isBusy; pauseCount++) {
      await turns.next(owner, pauseCount);
      seen.push(name);
      turns.spend(TURN_OF_OWNER, owner);
    }
  };
  const works = Array.from({ length: ownerCount * worksOfEach }, (_, n) => work(`busy ${n % ownerCount}`));
  const stop = () => {
    isBusy = false;
    return Promise.all(works);
  };
  return { seen, stop };
}

test("one owner's many long works leave most turns to another one, however much that has", async () => {
  const turns = new EventLoopTurns();
  const { seen, stop } = busyOwners(turns, 1, 40);
  while (seen.length < 1_000) await turns.next(turns.ownerOf("busy 0"), 9);
  const from = seen.length;
  const other = turns.ownerOf("other");
  for (let count = 0; count < 60; count++) {
    await turns.next(other, 0);
    turns.spend(TURN_OF_OWNER, other);
  }
  expect(seen.length - from).toBeLessThanOrEqual(30);
  expect(seen.length - from).toBeGreaterThanOrEqual(15);
  await stop();
});

test("an owner who asks from time to time waits for none of the many that are always busy", async () => {
  const turns = new EventLoopTurns();
  const { seen, stop } = busyOwners(turns, 40, 25);
  const waited: number[] = [];
  turns.ownerOf("other");
  for (let request = 1; request < 10; request++) {
    while (seen.length < 400 * request) await new Promise(setImmediate);
    const from = seen.length;
    for (let pauseCount = 0; pauseCount < 5; pauseCount++)
      await turns.next(turns.ownerOf("other"), pauseCount);
    waited.push(seen.length - from);
  }
  await stop();
  expect(Math.max(...waited)).toBeLessThanOrEqual(5);
});

test("an owner who asks all the time for what takes little waits for none of the many that are always busy", async () => {
  const turns = new EventLoopTurns();
  const { seen, stop } = busyOwners(turns, 60, 5);
  while (seen.length < 3_000) await new Promise(setImmediate);
  const waited: number[] = [];
  for (let request = 0; request < 50; request++) {
    const from = seen.length;
    for (let pauseCount = 0; pauseCount < 4; pauseCount++) {
      const other = turns.ownerOf("other");
      await turns.next(other, pauseCount);
      turns.spend(100, other);
    }
    waited.push(seen.length - from);
  }
  // And they go on.
  expect(seen.length).toBeGreaterThan(3_000 + 50);
  await stop();
  expect(Math.max(...waited)).toBeLessThanOrEqual(8);
});

test("ever new owners do not keep out those that wait", async () => {
  const turns = new EventLoopTurns();
  let count = 0;
  let isOpen = true;
  const come = async (): Promise<void> => {
    while (isOpen) await turns.next(turns.ownerOf(`new ${count++}`), 0);
  };
  const coming = Array.from({ length: 10 }, come);
  for (let pauseCount = 0; pauseCount < 50; pauseCount++)
    await turns.next(turns.ownerOf("long"), 100 + pauseCount);
  expect(count).toBeLessThan(50 * 50);
  isOpen = false;
  await Promise.all(coming);
});

test("what others have used of a turn does not make work wait that has used little", async () => {
  const turns = new EventLoopTurns();
  const busy = workOwner.run("busy", () => new WorkSlices({ turns }));
  const small = workOwner.run("small", () => new WorkSlices({ turns }));
  expect(busy.isDue(2_500)).toBe(true);
  expect(small.isDue(1_000)).toBe(false);
  // All together have a limit.
  expect(small.isDue(1_900)).toBe(true);
});

test("work counts to whom it is begun for", async () => {
  const owners: (string | undefined)[] = [];
  const turns: Turns = {
    ownerOf: (name) => new TurnOwner(name),
    spend: () => true,
    next: async ({ name }) => void owners.push(name),
  };
  const slices = workOwner.run("a", () => new WorkSlices({ turns }));
  await workOwner.run("b", () => slices.spend(1));
  await new WorkSlices({ turns }).spend(1);
  expect(owners).toEqual(["a", undefined]);
});

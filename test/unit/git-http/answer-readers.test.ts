/** Whose answers are cut while others wait for the memory that answers hold. */
import { expect, test } from "vitest";
import { AnswerReaders } from "../../../lib/git-http/answer-readers.ts";

const MIB = 1024 * 1024;

async function* endlessly() {
  for (;;) yield new Uint8Array(16 * 1024);
}

/** Readers of answers of 4 MiB, each by its caller's name and how many KiB it takes a second. */
async function readers(
  rates: readonly (readonly [caller: string, kibPerSecond: number, atOnceMib?: number])[],
) {
  let nowMs = 0;
  const all = new AnswerReaders(() => nowMs);
  const cut: string[] = [];
  const reading = rates.map(([name, rate, atOnceMib = 0]) => {
    const caller = { name, token: `token of ${name}`, block: `block of ${name}` };
    const reader = all.add(caller, () => cut.push(`${name} ${rate}`));
    reader.heldBytes = 4 * MIB;
    return {
      body: reader.watched(endlessly()),
      everyMs: rate === 0 ? undefined : 16_000 / rate,
      dueMs: 0,
      atOnceCount: atOnceMib * 64,
    };
  });
  const pass = async (ms: number) => {
    const untilMs = nowMs + ms;
    for (; nowMs < untilMs; nowMs += 250)
      for (const reader of reading) {
        if (nowMs < reader.dueMs) continue;
        reader.dueMs = reader.everyMs === undefined ? Number.POSITIVE_INFINITY : nowMs + reader.everyMs;
        do await reader.body.next();
        while (reader.atOnceCount-- > 0);
      }
  };
  const makeRoom = (caller: string, weight: number, onlyOf?: string) => {
    all.makeRoom({ caller, weight, onlyOf });
    return cut.splice(0);
  };
  return { pass, makeRoom };
}

test("for a new caller slow readers are cut, the slowest of the caller with most first", async () => {
  const { pass, makeRoom } = await readers([
    ["one", 1],
    ["three", 40],
    ["three", 8],
    ["three", 2],
    ["two", 4],
    ["two", 100],
  ]);
  await pass(20_000);
  expect(makeRoom("new", 1)).toEqual(["three 2"]);
  expect(makeRoom("new", 8 * MIB)).toHaveLength(2);
  expect(makeRoom("new", 100 * MIB)).not.toContain("two 100");
});

test("a caller's only answer is cut below 16 KiB/s, and none before it is known to be slow", async () => {
  const { pass, makeRoom } = await readers([
    ["slow", 8],
    ["mobile", 32],
  ]);
  await pass(2_500);
  expect(makeRoom("new", 100 * MIB)).toEqual([]);
  await pass(10_000);
  expect(makeRoom("new", 100 * MIB)).toEqual(["slow 8"]);
});

test("for a caller who holds answers only idle readers are cut, and of a limit only those it counts", async () => {
  const { pass, makeRoom } = await readers([
    ["known", 100],
    ["slow", 8],
    ["idle", 0],
  ]);
  await pass(25_000);
  expect(makeRoom("known", 100 * MIB)).toEqual([]);
  await pass(10_000);
  expect(makeRoom("new", 100 * MIB, "token of slow")).toEqual(["slow 8"]);
  expect(makeRoom("known", 100 * MIB)).toEqual(["idle 0"]);
});

test("what the buffers of a connection take at once does not make its reader fast", async () => {
  const { pass, makeRoom } = await readers([
    ["one", 0, 8],
    ["one", 2, 8],
    ["fast", 1_000],
  ]);
  await pass(10_000);
  expect(makeRoom("new", 100 * MIB)).toEqual(["one 0", "one 2"]);
});

/** Whose answers are cut while others wait for the memory that answers hold. */
import { connect, type Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { AnswerReaders } from "../../../lib/git-http/answer-readers.ts";
import { startNodeServer } from "../../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { READING_SLACK, TransferPace } from "../../../lib/transfer-pace.ts";

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
    all.makeRoom([{ caller, weight, onlyOf }]);
    return cut.splice(0);
  };
  return { pass, makeRoom };
}

test("of the caller with most, the slowest readers are cut first, and none that is not slow", async () => {
  const { pass, makeRoom } = await readers([
    ["one", 1],
    ["three", 40],
    ["three", 4],
    ["three", 2],
    ["two", 4],
    ["two", 100],
  ]);
  await pass(90_000);
  expect(makeRoom("new", 1)).toEqual(["three 2"]);
  expect(makeRoom("new", 100 * MIB).sort()).toEqual(["one 1", "three 4", "two 4"]);
});

test("what the buffers of a connection take at once makes a slow reader fast for a minute", async () => {
  const { pass, makeRoom } = await readers([
    ["one", 0, 8],
    ["one", 2, 8],
    ["none", 0],
    ["fast", 1_000],
  ]);
  await pass(25_000);
  expect(makeRoom("new", 100 * MIB)).toEqual([]);
  await pass(10_000);
  expect(makeRoom("new", 100 * MIB)).toEqual(["none 0"]);
  await pass(40_000);
  expect(makeRoom("new", 100 * MIB).sort()).toEqual(["one 0", "one 2"]);
});

test("of a limit only those are cut that it counts", async () => {
  const { pass, makeRoom } = await readers([
    ["slow", 4],
    ["idle", 0],
  ]);
  await pass(60_000);
  expect(makeRoom("new", 100 * MIB, "token of slow")).toEqual(["slow 4"]);
  expect(makeRoom("new", 100 * MIB, "block of idle")).toEqual(["idle 0"]);
});

test("thousands of callers that wait cost no look at each reader for each of them", async () => {
  let clockReads = 0;
  let nowMs = 0;
  const all = new AnswerReaders(() => {
    clockReads += 1;
    return nowMs;
  });
  let cutCount = 0;
  for (let index = 0; index < 300; index++) {
    const name = `reader ${index}`;
    const reader = all.add({ name, token: name, block: name }, () => {
      cutCount += 1;
    });
    reader.heldBytes = MIB;
    await reader.watched(endlessly()).next();
  }
  const waiting = Array.from({ length: 2_000 }, (_, index) => {
    return { caller: `waits ${index}`, weight: 150 * MIB, onlyOf: index === 0 ? undefined : "reader 250" };
  });
  clockReads = 0;
  all.makeRoom(waiting);
  expect([cutCount, clockReads]).toEqual([0, 300]);
  nowMs += 60_000;
  all.makeRoom(waiting);
  expect(cutCount).toBe(151);
  expect(clockReads).toBeLessThan(20_000);
});

/** Takes 1 MiB at once, then nothing until its reader has read as much. */
function paceInBursts(kibPerSecond: number) {
  let nowMs = 0;
  const pace = new TransferPace(READING_SLACK, () => nowMs);
  const wasSlow: number[] = [];
  const wait = (ms: number) => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs += 500) if (pace.isSlow) wasSlow.push(nowMs);
  };
  const burst = () => {
    for (let index = 0; index < 16; index++) {
      pace.waits();
      pace.moved(64 * 1024);
    }
    pace.waits();
  };
  for (let index = 0; index < 20; index++) {
    burst();
    wait((1024 / kibPerSecond) * 1_000);
  }
  return { wasSlow, wait, burst };
}

test.each([20, 30, 100, 500, 10_000])(
  "a steady reader of %i KiB/s is never slow, though its buffers take bytes seldom",
  (kibPerSecond) => {
    expect(paceInBursts(kibPerSecond).wasSlow).toEqual([]);
  },
);

test("a fast reader may stall for 30 s, and is slow after a minute", () => {
  const { wasSlow, wait, burst } = paceInBursts(1_000);
  wait(30_000);
  burst();
  wait(59_000);
  expect(wasSlow).toEqual([]);
  wait(5_000);
  expect(wasSlow.length).toBeGreaterThan(0);
});

test("steady readers over real sockets are not cut", { timeout: 60_000 }, async () => {
  const all = new AnswerReaders(() => performance.now());
  const cut: string[] = [];
  const server = await startNodeServer(
    async ({ path: name, cut: end }) => {
      const reader = all.add({ name, token: undefined, block: "address" }, () => {
        cut.push(name);
        end?.();
      });
      reader.heldBytes = 4 * MIB;
      return { status: 200, headers: {}, body: reader.watched(endlessly()) };
    },
    { log: SILENT_LOGGER },
  );
  const clients = [100, 300, 500].map((kibPerSecond) => readSteadily(server.port, kibPerSecond * 1024));
  for (let elapsedMs = 0; elapsedMs < 9_000; elapsedMs += 250) {
    await setTimeout(250);
    if (elapsedMs > 3_000) all.makeRoom([{ caller: "new", weight: 100 * MIB, onlyOf: undefined }]);
  }
  expect(cut).toEqual([]);
  for (const client of clients) client.destroy();
  await server.close();
});

function readSteadily(port: number, bytesPerSecond: number): Socket {
  const startMs = performance.now();
  let bytes = 0;
  const socket = connect(port, "127.0.0.1", () => socket.write("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"));
  const reading = setInterval(() => {
    if (bytes < ((performance.now() - startMs) / 1_000) * bytesPerSecond) socket.resume();
  }, 20);
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    socket.pause();
  });
  return socket.on("close", () => clearInterval(reading));
}

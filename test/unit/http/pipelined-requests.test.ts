import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { PipelinedRequests } from "../../../lib/http/pipelined-requests.ts";

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

function connection(pipelined: PipelinedRequests) {
  const calls: string[] = [];
  const fake = Object.assign(new EventEmitter(), {
    destroyed: false,
    pause: () => calls.push("pause"),
    resume: () => calls.push("resume"),
    destroy: () => {
      calls.push("destroy");
      fake.destroyed = true;
      fake.emit("close");
    },
  });
  const socket = fake as unknown as Socket;
  const send = (name: string) => {
    const outgoing = new EventEmitter();
    pipelined.start(socket, outgoing as ServerResponse, () => calls.push(name));
    return () => outgoing.emit("close");
  };
  return { socket, calls, send };
}

test("a connection is not read while requests wait on it", () => {
  const { calls, send } = connection(new PipelinedRequests());
  const ends = ["first", "second", "third"].map(send);
  expect(calls).toEqual(["first", "pause", "pause"]);
  ends[0]?.();
  expect(calls.slice(3)).toEqual(["second"]);
  ends[1]?.();
  expect(calls.slice(4)).toEqual(["resume", "third"]);
  ends[2]?.();
  send("fourth");
  expect(calls.slice(6)).toEqual(["fourth"]);
});

test("connections with too many requests are cut one in each turn of the event loop, and nothing more starts on them", async () => {
  const pipelined = new PipelinedRequests();
  const all = Array.from({ length: 4 }, () => connection(pipelined));
  const ends = all.map(({ send }) => Array.from({ length: 8 }, (_, number) => send(`request ${number}`)));
  const cutCount = () => all.filter(({ socket }) => socket.destroyed).length;
  expect(all.map(({ socket }) => pipelined.isCut(socket))).toEqual([true, true, true, true]);
  ends[3]?.[0]?.();
  const counts = [cutCount()];
  for (let turn = 0; turn < 3; turn++) {
    await nextTurn();
    counts.push(cutCount());
  }
  expect(counts).toEqual([1, 2, 3, 4]);
  for (const { calls } of all)
    expect(calls.filter((call) => call.startsWith("request"))).toEqual(["request 0"]);
});

test("what takes long to parse is parsed over several turns of the event loop, whole and in order", async () => {
  const pipelined = new PipelinedRequests();
  const stream = new PassThrough({ highWaterMark: 1024 * 1024 });
  const pieces: Buffer[] = [];
  const turns = new Set<number>();
  let turn = 0;
  stream.on("data", (piece: Buffer) => {
    const untilMs = performance.now() + 3;
    while (performance.now() < untilMs);
    pieces.push(piece);
    turns.add(turn);
  });
  pipelined.parseInPieces(stream as unknown as Socket);
  const bytes = randomBytes(20 * 1024);
  stream.write(bytes);
  const parsedBytes = () => pieces.reduce((sum, { length }) => sum + length, 0);
  while (parsedBytes() < bytes.length) {
    await nextTurn();
    turn += 1;
  }
  expect(turns.size).toBeGreaterThanOrEqual(4);
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
});

test.each([
  { what: "heads", complete: true, pieces: 64 },
  { what: "a body", complete: false, pieces: 4 },
])("64 KiB of $what are parsed in $pieces pieces", ({ complete, pieces }) => {
  const pipelined = new PipelinedRequests();
  const parsed: number[] = [];
  const fake = Object.assign(new EventEmitter(), { destroyed: false, isPaused: () => false });
  fake.on("data", (bytes: Buffer) => parsed.push(bytes.length));
  const socket = fake as unknown as Socket;
  pipelined.parseInPieces(socket);
  const outgoing = Object.assign(new EventEmitter(), { req: { complete } });
  pipelined.start(socket, outgoing as unknown as ServerResponse, () => undefined);
  fake.emit("data", Buffer.alloc(64 * 1024));
  expect(parsed).toHaveLength(pieces);
  expect(parsed.reduce((sum, length) => sum + length, 0)).toBe(64 * 1024);
});

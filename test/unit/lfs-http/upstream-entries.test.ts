/** How long, and how often, the primary is asked for one caller. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { type AskLfsPrimary, askForEntries } from "../../../lib/lfs-http/upstream-entries.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";

const OBJECTS = Array.from({ length: 500 }, (_, i) => ({
  oid: i.toString(16).padStart(64, "0"),
  sizeBytes: 1,
}));

test("a deadline ends all questions; what was answered before it stays", async () => {
  const asked: number[] = [];
  const ask: AskLfsPrimary = async (objects, signal) => {
    asked.push(objects.length);
    // The second one hangs.
    if (asked.length > 1) await pause(60_000, undefined, { signal });
    return new Map(objects.map(({ oid, sizeBytes: size }) => [oid, { oid, size }]));
  };
  const signal = new AbortController().signal;
  const { entries } = await askForEntries(ask, OBJECTS, { signal, log: SILENT_LOGGER, deadlineMs: 50 });
  expect(asked).toEqual([100, 100]);
  const codes = OBJECTS.map(({ oid }) => entries.get(oid)?.error?.code);
  expect(codes).toEqual([...Array(100).fill(undefined), ...Array(400).fill(503)]);
});

test("a caller who leaves ends them as well", async () => {
  const caller = new AbortController();
  const ask: AskLfsPrimary = async (_objects, signal) => {
    caller.abort(new Error("left"));
    throw signal.reason;
  };
  const asking = askForEntries(ask, OBJECTS, { signal: caller.signal, log: SILENT_LOGGER });
  await expect(asking).rejects.toThrow("left");
});

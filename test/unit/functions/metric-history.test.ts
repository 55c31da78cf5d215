import { expect, test } from "vitest";
import { MetricHistory } from "../../../functions/local/metric-history.ts";

const SLOT_MS = 15 * 60_000;

test("counters add up within a quarter of an hour, other values count by their highest, and a day is kept", () => {
  let nowMs = 1_000 * SLOT_MS;
  const history = new MetricHistory(() => nowMs);
  history.record({ SentBytes: 5, SyncLagSeconds: 3 });
  history.record({ SentBytes: 6, SyncLagSeconds: 2 });
  nowMs += 2 * SLOT_MS;
  history.record({ SentBytes: 7 });
  const read = history.read();
  expect(read.valuesOf("SentBytes").slice(-4)).toEqual([0, 11, 0, 7]);
  expect(read.valuesOf("SyncLagSeconds").slice(-3)).toEqual([3, 0, 0]);
  expect(read.lastSlotAtMs).toBe(nowMs);
  nowMs += 94 * SLOT_MS;
  expect(
    history
      .read()
      .valuesOf("SentBytes")
      .filter((value) => value > 0),
  ).toEqual([7]);
  nowMs += 1_000 * SLOT_MS;
  expect(
    history
      .read()
      .valuesOf("SentBytes")
      .some((value) => value > 0),
  ).toBe(false);
  // A clock that is set back loses nothing and does not fail.
  nowMs -= 5 * SLOT_MS;
  history.record({ SentBytes: 1 });
  expect(history.read().valuesOf("SentBytes").at(-1)).toBe(1);
});

test("gauges are read from queues", () => {
  const history = new MetricHistory();
  history.readGauges((name) =>
    name === "sync"
      ? {
          pending: () => ({ count: 9, oldestSentAtMs: undefined }),
          deadLetterCount: async () => {
            throw new Error("not asked");
          },
        }
      : undefined,
  );
  expect(history.read().valuesOf("SyncQueueLength").at(-1)).toBe(9);
  expect(history.read().valuesOf("LfsQueueLength").at(-1)).toBe(0);
});

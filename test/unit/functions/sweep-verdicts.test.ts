import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { sweepVerdicts } from "../../../functions/local/sweep-verdicts.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const MINUTE_MS = 60_000;

async function keysOf(store: MemoryBlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

test.each([
  [0, 15],
  [60, 60],
])(
  "with %i stale minutes what is older than %i minutes goes, from time to time",
  async (staleMinutes, countsMinutes) => {
    const store = new MemoryBlobStore();
    const stop = new AbortController();
    await store.write("auth/early", new Uint8Array(1));
    await store.write("repos/early", new Uint8Array(1));
    const sweeping = sweepVerdicts(store, { staleMinutes, log: SILENT_LOGGER, stop: stop.signal }, MINUTE_MS);
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    await store.write("auth/late", new Uint8Array(1));
    await vi.advanceTimersByTimeAsync((countsMinutes - 10) * MINUTE_MS);
    expect(await keysOf(store)).toEqual(["auth/early", "auth/late", "repos/early"]);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(await keysOf(store)).toEqual(["auth/late", "repos/early"]);
    await vi.advanceTimersByTimeAsync(10 * MINUTE_MS);
    expect(await keysOf(store)).toEqual(["repos/early"]);
    stop.abort();
    await sweeping;
  },
);

test("a store that fails once is swept the next time", async () => {
  const store = new MemoryBlobStore();
  const stop = new AbortController();
  const list = vi.spyOn(store, "list").mockImplementationOnce(() => {
    throw new Error("the store is gone");
  });
  const errors: string[] = [];
  const log = { ...SILENT_LOGGER, error: (event: string) => void errors.push(event) };
  const sweeping = sweepVerdicts(store, { staleMinutes: 15, log, stop: stop.signal }, MINUTE_MS);
  await vi.advanceTimersByTimeAsync(MINUTE_MS);
  expect(errors).toEqual(["auth:sweep-failed"]);
  expect(list).toHaveBeenCalledTimes(2);
  stop.abort();
  await sweeping;
});

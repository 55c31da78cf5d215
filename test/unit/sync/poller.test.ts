import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { NotFoundError, UpstreamError } from "../../../lib/errors.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { type PollerOptions, poll } from "../../../lib/sync/poller.ts";
import type { Selected } from "../../../lib/sync/selection.ts";
import type { SyncOutcome } from "../../../lib/sync/sync-repository.ts";

const INTERVAL_MS = 10_000;
const UNCHANGED: SyncOutcome = { kind: "unchanged", generation: 1 };

let stop: AbortController;
/** What was synchronized, in order; a bar where a round begins. */
let trace: string[];

beforeEach(() => {
  vi.useFakeTimers();
  stop = new AbortController();
  trace = [];
});

afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

function repository(slug: string): Selected {
  return {
    kind: "repository",
    repository: { uuid: slug, workspace: "acme", slug, fullName: `acme/${slug}` },
  };
}

function start(
  sync: (slug: string) => Promise<SyncOutcome>,
  others: Partial<PollerOptions> = {},
  onFirstRound: () => void = () => undefined,
): Promise<void> {
  const options: PollerOptions = {
    selected: async function* () {
      trace.push("|");
      yield* ["a", "b", "c"].map(repository);
    },
    sync: ({ slug }) => {
      trace.push(slug);
      return sync(slug);
    },
    log: SILENT_LOGGER,
    intervalMs: INTERVAL_MS,
    signal: stop.signal,
    ...others,
  };
  return poll(options, onFirstRound);
}

const failingWith = (error: Error) => (slug: string) =>
  slug === "b" ? Promise.reject(error) : Promise.resolve(UNCHANGED);

test("each round tries every repository, one interval after the other", async () => {
  const synced: string[] = [];
  let firstRounds = 0;
  const polling = start(
    async () => UNCHANGED,
    { onSynced: ({ slug }) => synced.push(slug) },
    () => {
      firstRounds += 1;
    },
  );
  await vi.advanceTimersByTimeAsync(INTERVAL_MS - 1);
  expect(trace.join("")).toBe("|abc");
  await vi.advanceTimersByTimeAsync(1);
  expect(trace.join("")).toBe("|abc|abc");
  expect(synced.join("")).toBe("abcabc");
  expect(firstRounds).toBe(1);
  stop.abort();
  await polling;
});

test("a repository that fails does not keep the others from their turn", async () => {
  const failed: unknown[] = [];
  const error = new NotFoundError("gone");
  void start(failingWith(error), { onFailed: (name, reason) => failed.push([name, reason]) });
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(trace.join("")).toBe("|abc|abc");
  expect(failed).toEqual([
    ["acme/b", error],
    ["acme/b", error],
  ]);
});

test.each([
  ["what Retry-After says", { retryAfterSeconds: 120, status: 429 }, 120_000],
  ["a minute after a 429 without it", { status: 429 }, 60_000],
  ["the interval when that is longer", { retryAfterSeconds: 1, status: 429 }, INTERVAL_MS],
  ["an hour at most", { retryAfterSeconds: 10_000_000, status: 503 }, 3_600_000],
])("the primary is left alone for %s", async (_name, details, pauseMs) => {
  void start(failingWith(new UpstreamError("slow down", { retryable: true, ...details })));
  await vi.advanceTimersByTimeAsync(pauseMs - 1);
  expect(trace.join("")).toMatch(/^\|ab/);
  expect(trace.filter((entry) => entry === "|")).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(trace.filter((entry) => entry === "|")).toHaveLength(2);
});

test("a list that fails in its middle is told, and asked for again", async () => {
  const failed: unknown[] = [];
  void start(async () => UNCHANGED, {
    selected: async function* () {
      trace.push("|");
      yield repository("a");
      throw new UpstreamError("no more", { retryable: true });
    },
    onFailed: (name, reason) => failed.push([name, (reason as Error).message]),
  });
  await vi.advanceTimersByTimeAsync(INTERVAL_MS);
  expect(trace.join("")).toBe("|a|a");
  expect(failed[0]).toEqual(["listing repositories", "no more"]);
});

test("a part of the selection that fails is told, and what comes after it is synchronized", async () => {
  const failed: unknown[] = [];
  const error = new UpstreamError("slow down", { retryable: true, status: 429, retryAfterSeconds: 120 });
  void start(async () => UNCHANGED, {
    selected: async function* () {
      trace.push("|");
      yield { kind: "failed", name: "acme", error };
      yield repository("z");
    },
    onFailed: (name, reason) => failed.push([name, reason]),
  });
  await vi.advanceTimersByTimeAsync(119_999);
  expect(trace.join("")).toBe("|z");
  expect(failed).toEqual([["acme", error]]);
  await vi.advanceTimersByTimeAsync(1);
  expect(trace.join("")).toBe("|z|z");
});

test("after a pause it goes on behind the repository that was tried last", async () => {
  let allowance = 0;
  void start(async () => {
    if (allowance-- > 0) return UNCHANGED;
    allowance = 2;
    throw new UpstreamError("slow down", { retryable: true, status: 429, retryAfterSeconds: 10 });
  });
  // Refused at a; then two are allowed, and the third is refused; and so on.
  await vi.advanceTimersByTimeAsync(30_000);
  expect(trace.join("")).toBe("|a|bca|bca|bca");
});

test("the signal ends it within a round, in a pause and before the first round is told", async () => {
  let isTold = false;
  const failed: unknown[] = [];
  const polling = start(
    async (slug) => {
      if (slug !== "b") return UNCHANGED;
      stop.abort();
      throw new Error("given up");
    },
    { onFailed: (_name, reason) => failed.push(reason) },
    () => {
      isTold = true;
    },
  );
  await polling;
  expect(trace.join("")).toBe("|ab");
  expect({ isTold, failed }).toEqual({ isTold: false, failed: [] });

  stop = new AbortController();
  const pausing = start(async () => UNCHANGED);
  await vi.advanceTimersByTimeAsync(1);
  stop.abort();
  await pausing;
  expect(vi.getTimerCount()).toBe(0);
});

test("the first round counts as told only when that is done", async () => {
  vi.useRealTimers();
  const events: string[] = [];
  const selected = async function* () {
    events.push("round");
    yield* [];
  };
  const polling = poll(
    { selected, sync: async () => UNCHANGED, log: SILENT_LOGGER, intervalMs: 0, signal: stop.signal },
    async () => {
      await sleep(5);
      events.push("told");
    },
  );
  while (events.length < 3) await sleep(1);
  stop.abort();
  await polling;
  expect(events.slice(0, 3)).toEqual(["round", "told", "round"]);
});

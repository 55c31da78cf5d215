/** What lib/queue/job-queue.ts promises, as tests. Every implementation runs them. */
import { afterEach, expect, test } from "vitest";
import type { DeadLetters, JobQueue } from "../../lib/queue/job-queue.ts";

export interface RunningQueue {
  readonly queue: JobQueue;
  readonly deadLetters: DeadLetters;
  /** Resolves when all that was sent has been run, or has become a dead letter. */
  drained(): Promise<void>;
  close(): Promise<void>;
}

export interface RunningQueueOptions {
  readonly run: (body: string) => Promise<void>;
  readonly concurrency: number;
  readonly maxTries: number;
}

/** @param open - A queue of its own for each test; a failed job comes again after a second at most. */
export function jobQueueContract(open: (options: RunningQueueOptions) => Promise<RunningQueue>): void {
  let running: RunningQueue | undefined;

  afterEach(async () => {
    await running?.close();
    running = undefined;
  });

  async function start(
    run: (body: string) => Promise<void>,
    options: Partial<RunningQueueOptions> = {},
  ): Promise<RunningQueue> {
    running = await open({ run, concurrency: 4, maxTries: 3, ...options });
    return running;
  }

  let sentCount = 0;
  function message(groupId: string, body: string, dedupId = `event-${sentCount++}`) {
    return { groupId, dedupId, body };
  }

  test("jobs of a group run one at a time and in order; of different groups, at the same time", async () => {
    const runs: string[] = [];
    const active = new Map<string, number>();
    let mostOfOneGroup = 0;
    let mostAtOnce = 0;
    const { queue, drained } = await start(async (body) => {
      const group = body.slice(0, 1);
      active.set(group, (active.get(group) ?? 0) + 1);
      mostOfOneGroup = Math.max(mostOfOneGroup, active.get(group) ?? 0);
      mostAtOnce = Math.max(
        mostAtOnce,
        [...active.values()].reduce((sum, count) => sum + count, 0),
      );
      runs.push(body);
      await new Promise((resolve) => setTimeout(resolve, 5));
      active.set(group, (active.get(group) ?? 0) - 1);
    });
    const bodies = Array.from({ length: 12 }, (_, index) =>
      ["a", "b", "c"].map((group) => `${group}${index}`),
    );
    await queue.send(bodies.flat().map((body) => message(body.slice(0, 1), body)));
    await drained();
    for (const group of ["a", "b", "c"]) {
      const expected = Array.from({ length: 12 }, (_, index) => `${group}${index}`);
      expect(runs.filter((body) => body.startsWith(group))).toEqual(expected);
    }
    expect(mostOfOneGroup).toBe(1);
    expect(mostAtOnce).toBeGreaterThan(1);
  });

  test("an event that is sent again is run once; the next event of the same repository is run too", async () => {
    const runs: string[] = [];
    const { queue, drained } = await start(async (body) => void runs.push(body));
    await queue.send([message("a", "first", "event-x"), message("a", "first again", "event-x")]);
    await drained();
    await queue.send([message("a", "late again", "event-x"), message("a", "second", "event-y")]);
    await drained();
    expect(runs).toEqual(["first", "second"]);
  });

  test("a failed job comes again before those behind it, and holds up no other group", async () => {
    const runs: string[] = [];
    const { queue, drained } = await start(async (body) => {
      runs.push(body);
      if (body === "a1" && runs.filter((run) => run === "a1").length === 1) throw new Error("once");
    });
    await queue.send([message("a", "a1"), message("a", "a2"), message("b", "b1")]);
    await drained();
    expect(runs.filter((run) => run !== "b1")).toEqual(["a1", "a1", "a2"]);
    expect(runs).toContain("b1");
  });

  test("after its last try a job is a dead letter, kept; what is behind it is run", async () => {
    const runs: string[] = [];
    const { queue, deadLetters, drained } = await start(async (body) => {
      runs.push(body);
      if (body === "bad") throw new Error("always");
    });
    await queue.send([message("a", "bad"), message("a", "good")]);
    await drained();
    expect(runs).toEqual(["bad", "bad", "bad", "good"]);
    const expected = [{ groupId: "a", body: "bad" }];
    expect(await deadLetters.list(10)).toEqual(expected);
    expect(await deadLetters.list(10)).toEqual(expected);
  });

  test("dead letters are replayed, all of them, and are dead letters no more", async () => {
    let isBroken = true;
    const runs = new Set<string>();
    const { queue, deadLetters, drained } = await start(
      async (body) => {
        if (isBroken) throw new Error("broken");
        runs.add(body);
      },
      { maxTries: 1 },
    );
    const bodies = Array.from({ length: 15 }, (_, index) => `job ${index}`);
    await queue.send(bodies.map((body, index) => message(`group-${index % 5}`, body)));
    await drained();
    isBroken = false;
    expect(await deadLetters.replay(4)).toBe(4);
    expect(await deadLetters.replay(100)).toBe(11);
    await drained();
    expect(runs).toEqual(new Set(bodies));
    expect(await deadLetters.list(10)).toEqual([]);
  });

  test("messages that are large, together larger than SQS takes in one request, all arrive, and in order", async () => {
    const runs: string[] = [];
    const { queue, drained } = await start(async (body) => void runs.push(body));
    const bodies = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map((letter) => letter.repeat(150_000));
    await queue.send(bodies.map((body) => message("one", body)));
    await drained();
    expect(runs.map((body) => body[0]).join("")).toBe("abcdefghi");
  });

  test("a thousand messages in one call all arrive", async () => {
    let count = 0;
    const { queue, drained } = await start(async () => void count++, { concurrency: 8 });
    await queue.send(
      Array.from({ length: 1_000 }, (_, index) => message(`group-${index % 100}`, `${index}`)),
    );
    await drained();
    expect(count).toBe(1_000);
  });
}

/** Answers that are made once and read by many: at the same time, and later. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProtocolError } from "../../../../lib/errors.ts";
import type { AnswerRequest } from "../../../../lib/git/ports.ts";
import { UnsharedAnswerError } from "../../../../lib/git/upload-pack/shared-answer.ts";
import { AnswerRig, CHUNK_COUNT, expectWhole, readAll, WHOLE } from "../../../support/answer-rig.ts";
import { type TemporaryFolder, temporaryFolder } from "../../../support/git/temporary-folder.ts";

const KEY = "a".repeat(64);
const OTHER_KEY = "b".repeat(64);

let folder: TemporaryFolder;
let rig: AnswerRig;

beforeEach(async () => {
  folder = await temporaryFolder();
  rig = new AnswerRig(folder.path);
});

afterEach(() => folder.remove());

/** Lets everything go on that does not wait for something outside. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

describe("asked for at the same time", () => {
  test("by fifty, an answer is made once, and looked for once", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => rig.read()));
    for (const bytes of all) expectWhole(bytes);
    expect(rig.madeCount).toBe(1);
    expect(rig.store.counts()).toMatchObject({ readStream: 1, startUpload: 1 });
    expect(rig.failures).toEqual([]);
  });

  test("and kept nowhere, it is made once, and the store is left alone", async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => rig.read(rig.order(undefined, false))));
    for (const bytes of all) expectWhole(bytes);
    expect(rig.madeCount).toBe(1);
    expect(rig.store.counts().requests).toBe(0);
    const madeAgain = async () => {
      await readAll(await rig.open(rig.order(undefined, false)));
      return rig.madeCount;
    };
    // For some moments it stays at hand.
    expect(await madeAgain()).toBe(1);
    await expect.poll(madeAgain, { timeout: 10_000, interval: 1_500 }).toBe(2);
  });

  test("and kept nowhere, it is shared for as long as one of them reads it", async () => {
    const order = () => rig.order(undefined, false);
    const slow = await rig.open(order());
    await slow.next();
    expectWhole(await rig.read(order()));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expectWhole(await rig.read(order()));
    expect(rig.madeCount).toBe(1);
    await readAll(slow);
  });

  test("a repetition is noticed for some seconds, by its repository and key", () => {
    expect([KEY, KEY, OTHER_KEY, KEY].map((key) => rig.answers.isRepeated(key))).toEqual([
      ...[false, true, false, true],
    ]);
  });

  test("who comes late gets all of it from the start", async () => {
    const half = Promise.withResolvers<void>();
    const first = await rig.open(rig.order((index) => index === CHUNK_COUNT / 2 && half.promise));
    await first.next();
    const late = rig.read();
    half.resolve();
    expectWhole(await late);
    await readAll(first);
    expect(rig.madeCount).toBe(1);
  });

  test("a slow reader holds up no other, and no more than a piece of the answer", async () => {
    const slow = await rig.open(rig.order());
    await slow.next();
    expectWhole(await rig.read());
    await rig.untilKept();
    // What is left is in a file.
    const pieces: number[] = [];
    for (let step = await slow.next(); !step.done; step = await slow.next()) {
      if (step.value instanceof Uint8Array) pieces.push(step.value.buffer.byteLength);
    }
    expect(Math.max(...pieces)).toBeLessThanOrEqual(256 * 1024);
  });

  test("the first one's leaving does not end it for others", async () => {
    const half = Promise.withResolvers<void>();
    const first = await rig.open(rig.order((index) => index === CHUNK_COUNT / 2 && half.promise));
    await first.next();
    const second = await rig.open(rig.order());
    await second.next();
    await first.return?.();
    half.resolve();
    expect((await readAll(second)).length).toBeGreaterThan(WHOLE.length / 2);
    await rig.untilKept();
    expect(rig.madeCount).toBe(1);
  });

  test("when the last one leaves the work ends, and nothing is kept or complained about", async () => {
    const half = Promise.withResolvers<void>();
    const gone = new AbortController();
    let lastIndex = 0;
    const given = rig.order((index) => {
      lastIndex = index;
      return index === CHUNK_COUNT / 2 ? half.promise : undefined;
    });
    // This one never begins to read.
    await rig.answers.open({ ...given, signal: gone.signal });
    const reader = await rig.open(rig.order());
    await reader.next();
    gone.abort();
    await reader.return?.();
    half.resolve();
    await settle();
    expect(lastIndex).toBeLessThanOrEqual(CHUNK_COUNT / 2);
    expect(await rig.keptBytes()).toBe(0);
    expect(rig.failures).toEqual([]);
    expectWhole(await rig.read());
    expect(rig.madeCount).toBe(2);
  });

  test("who comes when the work is being given up has it made anew", async () => {
    const never = new Promise(() => {});
    const reader = await rig.open(rig.order((index) => index === 1 && never));
    await reader.next();
    await reader.return?.();
    expectWhole(await rig.read());
    expect(rig.madeCount).toBe(2);
  });

  test("a failure of the work breaks it off for all, is reported, and the next one starts anew", async () => {
    const broken = new Error("the packs are gone");
    const failing = rig.order((index) => {
      if (index === CHUNK_COUNT / 2) throw broken;
    });
    const results = await Promise.allSettled([rig.read(failing), rig.read(), rig.read()]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(rig.failures).toEqual([broken]);
    expect(await rig.keptBytes()).toBe(0);
    expectWhole(await rig.read());
  });

  test.each([new UnsharedAnswerError(), new ProtocolError("no such commits")])(
    "%s breaks it off without complaint",
    async (error) => {
      const failing = rig.order(() => {
        throw error;
      });
      await expect(rig.read(failing)).rejects.toBe(error);
      await settle();
      expect(rig.failures).toEqual([]);
    },
  );

  test("progress comes to those who wait", async () => {
    const shown = Promise.withResolvers<void>();
    const given: AnswerRequest = {
      ...rig.order(),
      async *make() {
        yield { progress: "Counting: 1\r" };
        await shown.promise;
        yield new Uint8Array([1, 2]);
      },
    };
    const [first, second] = [await rig.open(given), await rig.open(given)];
    for (const items of [first, second]) {
      expect(await items.next()).toEqual({ done: false, value: { progress: "Counting: 1\r" } });
    }
    shown.resolve();
    for (const items of [first, second]) expect((await items.next()).value).toEqual(new Uint8Array([1, 2]));
  });
});

describe("kept", () => {
  test("an answer is read by another process with one request", async () => {
    await rig.read();
    await rig.untilKept();
    rig.startAnew();
    rig.store.reset();
    expectWhole(await rig.read());
    expect(rig.store.counts()).toMatchObject({ requests: 1, rounds: 1 });
    expect(rig.madeCount).toBe(1);
  });

  test("it is also where the store begins to write when all readers have ended", async () => {
    const begun = Promise.withResolvers<undefined>();
    rig.before = ({ kind }) => (kind === "part" ? begun.promise : undefined);
    expectWhole(await rig.read());
    begun.resolve(undefined);
    await rig.untilKept();
    rig.startAnew();
    expectWhole(await rig.read());
    expect([rig.madeCount, rig.failures]).toEqual([1, []]);
  });

  test("of two processes that make the same, the first to finish keeps it", async () => {
    const half = Promise.withResolvers<void>();
    const slow = rig.read(rig.order((index) => index === 1 && half.promise));
    await settle();
    rig.startAnew();
    await rig.read();
    await rig.untilKept();
    half.resolve();
    expectWhole(await slow);
    await settle();
    expect(rig.failures).toEqual([]);
    expect(rig.madeCount).toBe(2);
  });

  test("it ends for its maker when it is kept, where the process is frozen then", async () => {
    rig.startAnew({ maxKeepingWaitMs: 60_000 });
    await rig.read();
    expect(await rig.keptBytes()).toBeGreaterThan(WHOLE.length);
  });

  test("it ends so in any case for who orders that", async () => {
    await rig.read({ ...rig.order(), endsWhenKept: true });
    expect(await rig.keptBytes()).toBeGreaterThan(WHOLE.length);
  });

  test("but not later than that may take", async () => {
    const stalled = Promise.withResolvers<undefined>();
    rig.before = ({ kind }) => (kind === "write" ? stalled.promise : undefined);
    rig.startAnew({ maxKeepingWaitMs: 1 });
    expectWhole(await rig.read());
    expect(await rig.keptBytes()).toBe(0);
    stalled.resolve(undefined);
    await rig.untilKept();
  });

  test("without an order to make it, only what is there is found", async () => {
    const { make: _, ...search } = rig.order();
    expect(await rig.answers.open(search)).toBeUndefined();
    await rig.read();
    await rig.untilKept();
    expectWhole(await rig.read(search));
  });

  test.each(["write", "part"])("a store that fails at %s costs no client the answer", async (kind) => {
    rig.before = (call) => {
      if (call.kind === kind) throw new Error("the bucket may not be written");
    };
    expectWhole(await rig.read());
    await expect.poll(() => rig.failures).toHaveLength(1);
    expect(await rig.keptBytes()).toBe(0);
  });

  test("a store that cannot be read costs no client the answer", async () => {
    rig.before = ({ kind }) => {
      if (kind === "read") throw new Error("the bucket is away");
    };
    expectWhole(await rig.read());
    expect(rig.failures).toHaveLength(1);
  });
});

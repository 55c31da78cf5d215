import { describe, expect, test } from "vitest";
import { StreamBudget, StreamPrefetch } from "../../../../lib/git/pack/stream-prefetch.ts";

/** Streams of one or two chunks that say what happens to them. */
function recorded(count: number, events: string[]) {
  return Array.from(
    { length: count },
    (_, number) =>
      async function* () {
        events.push(`begin ${number}`);
        try {
          yield Uint8Array.of(number, 1);
          yield Uint8Array.of(number, 2);
        } finally {
          events.push(`end ${number}`);
        }
      },
  );
}

async function read(chunks: AsyncIterable<Uint8Array>): Promise<number[][]> {
  const all: number[][] = [];
  for await (const chunk of chunks) all.push([...chunk]);
  return all;
}

describe("streams begun ahead", () => {
  test("come in order, with no more than three waiting", async () => {
    const events: string[] = [];
    await using streams = new StreamPrefetch(recorded(5, events), 3, new StreamBudget());
    expect(events).toEqual(["begin 0", "begin 1", "begin 2"]);
    for (let number = 0; number < 5; number++) {
      expect(await read(streams.next())).toEqual([
        [number, 1],
        [number, 2],
      ]);
    }
    expect(events.filter((event) => event.startsWith("end"))).toHaveLength(5);
    await expect(read(streams.next())).rejects.toThrow(RangeError);
  });

  test("are all ended by a reader who leaves early", async () => {
    const events: string[] = [];
    {
      await using streams = new StreamPrefetch(recorded(5, events), 3, new StreamBudget());
      for await (const _ of streams.next()) break;
    }
    expect(events.toSorted()).toEqual([0, 1, 2, 3].flatMap((n) => [`begin ${n}`, `end ${n}`]).toSorted());
  });

  test("fail when their turn comes, and only then", async () => {
    const fails = async function* (): AsyncGenerator<Uint8Array> {
      yield* [];
      throw new Error("gone");
    };
    const [first = fails] = recorded(1, []);
    await using streams = new StreamPrefetch([first, fails], 3, new StreamBudget());
    expect(await read(streams.next())).toHaveLength(2);
    await expect(read(streams.next())).rejects.toThrow("gone");
  });

  test("are few for many readers of one budget, and each reads its own one all the same", async () => {
    const budget = new StreamBudget(64);
    const events: string[] = [];
    {
      await using readers = new AsyncDisposableStack();
      for (let reader = 0; reader < 100; reader++) {
        const streams = readers.use(new StreamPrefetch(recorded(8, events), 6, budget));
        const chunks = streams.next();
        readers.defer(async () => void (await chunks.return()));
        await chunks.next();
      }
      expect(events.length).toBeLessThanOrEqual(100 + 64);
    }
    expect(events.filter((event) => event.startsWith("end"))).toHaveLength(events.length / 2);
    const later: string[] = [];
    await using streams = new StreamPrefetch(recorded(8, later), 6, budget);
    expect(later).toHaveLength(6);
    expect(await read(streams.next())).toHaveLength(2);
  });

  test("come in order without any begun ahead", async () => {
    const budget = new StreamBudget(64);
    await using others = new AsyncDisposableStack();
    for (let reader = 0; reader < 20; reader++) others.use(new StreamPrefetch(recorded(8, []), 6, budget));
    const events: string[] = [];
    await using streams = new StreamPrefetch(recorded(3, events), 6, budget);
    expect(events).toEqual([]);
    for (let number = 0; number < 3; number++) expect((await read(streams.next()))[0]).toEqual([number, 1]);
    await expect(read(streams.next())).rejects.toThrow(RangeError);
  });
});

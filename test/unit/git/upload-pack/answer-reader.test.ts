/** A shared answer is read whole, or breaks off so that a part is never taken for all. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import { encodePackHeader } from "../../../../lib/git/pack/pack-format.ts";
import { StreamBudget } from "../../../../lib/git/pack/stream-prefetch.ts";
import type { AnswerItem } from "../../../../lib/git/ports.ts";
import { AnswerReader, encodeAnswerHead } from "../../../../lib/git/upload-pack/answer-reader.ts";
import type {
  AnswerPlanning,
  FinishedPack,
  PackPlan,
  Planning,
} from "../../../../lib/git/upload-pack/plan.ts";
import { chunksOf, collect, cutPoints, utf8 } from "../../../support/byte-chunks.ts";

const id = (digit: string) => parseObjectId(digit.repeat(40));
const SHALLOW = { shallowIds: [id("a"), id("b")], unshallowIds: [id("c")] };
const HEAD = encodeAnswerHead(SHALLOW);
const PACK = Buffer.concat([encodePackHeader(17), utf8("entries and trailer")]);
const OWN_PLAN: PackPlan = {
  kind: "copy-packs",
  bodies: [],
  openObjects: () => Promise.reject(new Error()),
  streamBudget: new StreamBudget(),
};

async function* alone(): Planning {
  yield { progress: "my own\n" };
  return OWN_PLAN;
}

type Plan = PackPlan | FinishedPack;

async function planOf(planning: AnswerPlanning): Promise<{ progress: string; plan: Plan }> {
  let progress = "";
  for (;;) {
    const step = await planning.next();
    if (step.done) return { progress, plan: step.value };
    progress += step.value.progress;
  }
}

async function packOf(plan: Plan): Promise<Uint8Array> {
  if (plan.kind !== "copy-answer") throw new Error("not a shared answer");
  const chunks: Uint8Array[] = [];
  for await (const item of plan.items) if (item instanceof Uint8Array) chunks.push(item);
  return collect(chunks);
}

class Items implements AsyncIterable<AnswerItem> {
  readonly #items: readonly (AnswerItem | Error)[];
  isClosed = false;

  constructor(...items: readonly (AnswerItem | Error)[]) {
    this.#items = items;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnswerItem, void, undefined> {
    try {
      for (const item of this.#items) {
        if (item instanceof Error) throw item;
        yield item;
      }
    } finally {
      this.isClosed = true;
    }
  }
}

async function opened(items: AsyncIterable<AnswerItem>): Promise<AnswerReader> {
  const reader = await AnswerReader.open(items);
  if (reader === undefined) throw new Error("the answer breaks off");
  return reader;
}

test("wherever the chunks are cut, the same lines and pack come out", async () => {
  await fc.assert(
    fc.asyncProperty(cutPoints(), fc.constantFrom(SHALLOW, undefined), async (cuts, shallow) => {
      const reader = await opened(chunksOf(Buffer.concat([encodeAnswerHead(shallow), PACK]), cuts));
      expect(reader.shallow).toEqual(shallow);
      const { plan } = await planOf(reader.planPack("shared", alone));
      expect(Buffer.from(await packOf(plan)).equals(PACK)).toBe(true);
    }),
  );
});

test("progress of an answer that is being made goes to each reader", async () => {
  const made = await opened(new Items(HEAD, { progress: "Enumerating objects: 16\r" }, PACK));
  expect((await planOf(made.planPack("shared", alone))).progress).toBe("Enumerating objects: 16\r");
});

describe("before its pack, an answer is replaced by one's own:", () => {
  test.each<[string, Items]>([
    ["none", new Items()],
    ["cut in its head", new Items(HEAD.subarray(0, 30))],
    ["a wrong head", new Items(new Uint8Array(8).fill(0x7f), PACK)],
    ["a failure", new Items(HEAD.subarray(0, 8), new Error("gone"))],
  ])("%s", async (_, items) => {
    expect(await AnswerReader.open(items)).toBeUndefined();
    expect(items.isClosed).toBe(true);
  });

  test.each<[string, Items]>([
    ["no pack", new Items(HEAD)],
    ["a failure after the head", new Items(HEAD, { progress: "1\r" }, new Error("gone"))],
    ["what is no pack", new Items(HEAD, utf8("this is not a pack"))],
  ])("%s", async (_, items) => {
    const { plan, progress } = await planOf((await opened(items)).planPack("shared", alone));
    expect(plan).toBe(OWN_PLAN);
    expect(progress).toMatch(/my own\n$/);
    expect(items.isClosed).toBe(true);
  });
});

test("once its pack has begun, a failure is a failure", async () => {
  const reader = await opened(new Items(HEAD, PACK.subarray(0, 20), new Error("gone")));
  const { plan } = await planOf(reader.planPack("shared", alone));
  await expect(packOf(plan)).rejects.toThrow("gone");
});

test("who stops reading closes the answer, at each stage", async () => {
  const stages: ((reader: AnswerReader) => Promise<unknown>)[] = [
    (reader) => reader.close(),
    async (reader) => {
      const planning = reader.planPack("shared", alone);
      await planning.next();
      await planning.return(OWN_PLAN);
    },
    async (reader) => {
      const { plan } = await planOf(reader.planPack("shared", alone));
      if (plan.kind === "copy-answer") for await (const _item of plan.items) break;
    },
  ];
  for (const stop of stages) {
    const items = new Items(HEAD, { progress: "1\r" }, PACK, PACK);
    await stop(await opened(items));
    expect(items.isClosed).toBe(true);
  }
});

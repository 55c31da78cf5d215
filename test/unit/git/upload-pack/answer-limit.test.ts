import { describe, expect, test } from "vitest";
import { LimitExceededError } from "../../../../lib/errors.ts";
import type { PackBody } from "../../../../lib/git/ports.ts";
import { muxSideband } from "../../../../lib/git/sideband.ts";
import {
  type AnswerLimit,
  planWithinLimit,
  sentWithinLimit,
} from "../../../../lib/git/upload-pack/answer-limit.ts";
import type { AnswerPlanning, PackPlan } from "../../../../lib/git/upload-pack/plan.ts";
import { RefusedRequestError } from "../../../../lib/git/upload-pack/refused-request.ts";
import { openStoredAnswer, writeAnswer } from "../../../../lib/repo/answers/stored-answer.ts";
import { chunksOf, collect } from "../../../support/byte-chunks.ts";
import { MemoryBlobStore } from "../../../support/store/memory-blob-store.ts";

const refusals: number[] = [];
const LIMIT: AnswerLimit = {
  maxPlannedBytes: 1_000,
  maxSentBytes: 1_100,
  refuse: async (bytes) => {
    refusals.push(bytes);
    return `this takes ${bytes} bytes\nand does not fit`;
  },
};

const sourceOf = (...sizes: number[]) => ({
  packBodies: sizes.map((packBytes) => ({ packBytes }) as PackBody),
});

async function* planned(plan: object, ...progress: string[]): AnswerPlanning {
  for (const line of progress) yield { progress: line };
  return plan as PackPlan;
}

const copyPacks = (...ends: number[]) => ({
  kind: "copy-packs",
  bodies: ends.map((sentEndBytes) => ({ sentEndBytes })),
});

describe("an answer's plan", () => {
  test("is not waited for where the whole repository fits", async () => {
    const planning = planned(copyPacks(999));
    expect(await planWithinLimit(sourceOf(600, 400), planning, LIMIT)).toBe(planning);
    expect(await planWithinLimit(sourceOf(9_999), planning, undefined)).toBe(planning);
  });

  test.each([
    ["packs", copyPacks(600, 401)],
    ["a finished answer", { kind: "copy-answer", packBytes: 1_001 }],
  ])("of %s above the limit is refused with its size", async (_, plan) => {
    refusals.length = 0;
    const refused = planWithinLimit(sourceOf(2_000), planned(plan, "counting\n"), LIMIT);
    await expect(refused).rejects.toThrow(new RefusedRequestError("this takes 1001 bytes\nand does not fit"));
    expect(refusals).toEqual([1_001]);
  });

  test("that fits keeps its progress", async () => {
    const plan = copyPacks(1_000);
    const planning = await planWithinLimit(sourceOf(2_000), planned(plan, "1\n", "2\n"), LIMIT);
    expect(await planning.next()).toEqual({ done: false, value: { progress: "1\n" } });
    expect(await planning.next()).toEqual({ done: false, value: { progress: "2\n" } });
    expect(await planning.next()).toEqual({ done: true, value: plan });
  });
});

test("an answer that grows beyond the limit while it is sent ends with the same words on side-band 3", async () => {
  async function* pieces() {
    for (let piece = 0; piece < 3; piece++) yield new Uint8Array(500);
  }
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => failures.push(error);
  const sent = await collect(muxSideband(sentWithinLimit(pieces(), LIMIT), { onFailure }));
  const text = Buffer.from(sent).toString("latin1");
  expect(text.endsWith("\u0003mirror: this takes 1500 bytes\nand does not fit\n")).toBe(true);
  expect(failures[0]).toBeInstanceOf(LimitExceededError);
});

test("a stored answer above the limit counts as absent", async () => {
  const store = new MemoryBlobStore();
  await writeAnswer(store, "answer", chunksOf(new Uint8Array(1_001), [400]), 10_000);
  expect(await openStoredAnswer(store, "answer", { maxBytes: 1_000 })).toBeUndefined();
  const whole = await openStoredAnswer(store, "answer", { maxBytes: 1_001 });
  expect((await collect(whole ?? chunksOf(new Uint8Array(0), []))).length).toBe(1_001);
});

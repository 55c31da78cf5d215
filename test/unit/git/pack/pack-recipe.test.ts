import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CorruptPackError } from "../../../../lib/errors.ts";
import {
  copyRecipe,
  decodePackRecipe,
  encodePackRecipe,
  type PackRecipe,
  RecipeRecorder,
} from "../../../../lib/git/pack/pack-recipe.ts";
import type { OpenRange } from "../../../../lib/git/pack/range-coalescing.ts";
import { StreamBudget } from "../../../../lib/git/pack/stream-prefetch.ts";

const PACK_BYTES = 900_000;
const packs = [0, 1].map((seed) => {
  const words = Uint32Array.from({ length: PACK_BYTES / 4 }, (_, i) => (i + seed) * 2_654_435_761);
  return new Uint8Array(words.buffer);
});
const PACK_IDS = ["a".repeat(40), "0123456789".repeat(4)];

const step = fc.oneof(
  fc.record({ literal: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({
    pack: fc.nat(1),
    offset: fc.nat(PACK_BYTES - 400_000),
    length: fc.oneof(fc.nat(100), fc.nat(5000), fc.nat(400_000)),
  }),
);

function opener(chunkBytes: number): OpenRange {
  return async function* ({ packNumber, offsetBytes, endBytes }) {
    for (let at = offsetBytes; at < endBytes; at += chunkBytes)
      yield packs[packNumber]?.subarray(at, Math.min(endBytes, at + chunkBytes)) ?? new Uint8Array(0);
  };
}

async function replay(recipe: PackRecipe, chunkBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of copyRecipe(recipe, opener(chunkBytes), new StreamBudget())) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("what was recorded, encoded and decoded makes the same bytes again, however they are read", async () => {
  const steps = fc.array(step, { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, fc.constantFrom(100, 16_384, 300_000), async (made, chunkBytes) => {
      const recorder = new RecipeRecorder();
      const expected: Uint8Array[] = [];
      for (const one of made) {
        if ("literal" in one) {
          recorder.literal(one.literal);
          expected.push(one.literal);
        } else {
          const bytes = packs[one.pack]?.subarray(one.offset, one.offset + one.length) ?? new Uint8Array(0);
          recorder.copy(one.pack, one.offset, bytes);
          expected.push(bytes);
        }
      }
      const recipe = recorder.recipe(PACK_IDS);
      if (recipe === undefined) throw new Error("it is short enough");
      const decoded = decodePackRecipe(encodePackRecipe(recipe));
      expect(decoded).toEqual(recipe);
      expect(Buffer.compare(await replay(decoded, chunkBytes), Buffer.concat(expected))).toBe(0);
    }),
    { numRuns: 40 },
  );
});

test("what follows one another is one step", () => {
  const recorder = new RecipeRecorder();
  recorder.literal(new Uint8Array(12));
  recorder.copyRange(0, 100, 1000);
  recorder.copyRange(0, 1100, 50);
  recorder.copyRange(1, 1150, 50);
  expect(recorder.recipe(PACK_IDS)?.copyLengths).toEqual(Float64Array.of(1050, 50));
});

test("a long recipe is given up", () => {
  const recorder = new RecipeRecorder();
  recorder.literal(new Uint8Array(4 * 1024 * 1024));
  expect(recorder.recipe(PACK_IDS)?.literals).toHaveLength(4 * 1024 * 1024);
  recorder.literal(new Uint8Array(1));
  expect(recorder.recipe(PACK_IDS)).toBeUndefined();
  const steps = new RecipeRecorder();
  for (let i = 0; i <= 200_000; i++) steps.copyRange(0, i * 100, 50);
  expect(steps.recipe(PACK_IDS)).toBeUndefined();
});

describe("what makes no sense is refused", () => {
  const recorder = new RecipeRecorder();
  recorder.literal(Uint8Array.of(1, 2, 3));
  recorder.copyRange(1, 40, 60);
  recorder.literal(Uint8Array.of(4));
  const encoded = encodePackRecipe(recorder.recipe(PACK_IDS) as PackRecipe);

  test("a cut one, at every byte", () => {
    for (let length = 0; length < encoded.length; length++)
      expect(() => decodePackRecipe(encoded.subarray(0, length))).toThrow(CorruptPackError);
  });

  test.each([
    ["another signature", 0, 1],
    ["another version", 4, 9],
    ["an offset that is no whole number", 24 + 7, 0x3f],
    ["a pack that is not named", 24 + 2 * 8 * 2 + 2 * 4, 7],
    ["literals that end before they begin", 24 + 2 * 8 * 2 + 4, 1],
  ])("%s", (_, at, value) => {
    expect(() => decodePackRecipe(Uint8Array.from(encoded).with(at, value))).toThrow(CorruptPackError);
  });
});

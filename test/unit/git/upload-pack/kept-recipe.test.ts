import { expect, test } from "vitest";
import { encodePackHeader } from "../../../../lib/git/pack/pack-format.ts";
import { encodePackRecipe, RecipeRecorder } from "../../../../lib/git/pack/pack-recipe.ts";
import { StreamBudget } from "../../../../lib/git/pack/stream-prefetch.ts";
import { planByRecipe } from "../../../../lib/git/upload-pack/kept-recipe.ts";
import type { FinishedPack, PackPlan, ProgressText } from "../../../../lib/git/upload-pack/plan.ts";

const IDS = ["a".repeat(40), "b".repeat(40)];
const PACKS = [new Uint8Array(500).fill(1), new Uint8Array(300).fill(2)];
const STREAM_BUDGET = new StreamBudget();
const PLANNED: PackPlan = {
  kind: "copy-packs",
  bodies: [],
  openObjects: () => Promise.reject(new Error("not needed here")),
  streamBudget: STREAM_BUDGET,
};

/** What becomes of a kept recipe that copies this from the second pack. */
async function planWith(
  offsetBytes: number,
  lengthBytes: number,
  keptFor = IDS,
): Promise<PackPlan | FinishedPack> {
  const recorder = new RecipeRecorder();
  recorder.literal(encodePackHeader(1));
  recorder.copyRange(0, 12, 100);
  recorder.copyRange(1, offsetBytes, lengthBytes);
  const recipe = recorder.recipe(keptFor);
  if (recipe === undefined) throw new Error("it is short enough");
  async function* kept() {
    yield encodePackRecipe(recipe as NonNullable<typeof recipe>);
  }
  const bodies = IDS.map((id, packNumber) => ({
    id,
    packBytes: PACKS[packNumber]?.length ?? 0,
    sentObjectCount: 1,
    sentEndBytes: 0,
    hasRepeats: false,
    async *stream(startBytes: number, bytes: number) {
      yield PACKS[packNumber]?.subarray(startBytes, startBytes + bytes) ?? new Uint8Array(0);
    },
  }));
  async function* plan(): AsyncGenerator<ProgressText, PackPlan> {
    yield* [];
    return PLANNED;
  }
  const recipes = { open: async () => kept() };
  const options = { recipes, answerKey: "key", bodies, ofsDelta: true, signal: undefined };
  const planning = planByRecipe({ ...options, streamBudget: STREAM_BUDGET }, plan);
  for (;;) {
    const step = await planning.next();
    if (step.done) return step.value;
  }
}

test("a recipe is followed up to a pack's end", async () => {
  const planned = await planWith(200, 100);
  if (planned.kind !== "copy-answer") throw new Error(`it was planned anew: ${planned.kind}`);
  const chunks: Uint8Array[] = [];
  for await (const item of planned.items) if (item instanceof Uint8Array) chunks.push(item);
  expect(Buffer.concat(chunks).subarray(12)).toEqual(
    Buffer.concat([new Uint8Array(100).fill(1), new Uint8Array(100).fill(2)]),
  );
});

test.each([
  ["reads a byte past a pack's end", 201, 100, IDS],
  ["begins past a pack's end", 400, 10, IDS],
  ["is for other packs", 0, 100, ["a".repeat(40), "c".repeat(40)]],
])("a recipe that %s is not followed: the answer is planned anew", async (_, offset, length, ids) => {
  expect(await planWith(offset, length, ids)).toBe(PLANNED);
});

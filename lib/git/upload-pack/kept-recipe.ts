/**
 * Clones of a large part of the repository are put together from thousands of pieces of packs. How is kept, not the pack: it is
 * a thousand times shorter, and the next client needs no plan and none of the reads for it.
 */
import { createHash } from "node:crypto";
import { CorruptPackError } from "../../errors.ts";
import {
  copyRecipe,
  decodePackRecipe,
  encodePackRecipe,
  type PackRecipe,
  RECIPE_VERSION,
  RecipeRecorder,
} from "../pack/pack-recipe.ts";
import type { OpenRange } from "../pack/range-coalescing.ts";
import type { StreamBudget } from "../pack/stream-prefetch.ts";
import { writePack } from "../pack/write-pack.ts";

import type { PackBody, SharedAnswers } from "../ports.ts";
import { plannedBytes } from "./answer-limit.ts";
import type { AnswerPlanning, PackPlan, Planning } from "./plan.ts";

export interface KeptRecipeOptions {
  readonly recipes: Pick<SharedAnswers, "open">;
  /** Names everything that the answer's objects follow from. */
  readonly answerKey: string;
  readonly bodies: readonly PackBody[];
  readonly ofsDelta: boolean;
  readonly signal: AbortSignal | undefined;
  readonly streamBudget: StreamBudget;
}

/** @param plan - What is done where there is no recipe; if that works out, there is one the next time. */
export async function* planByRecipe(options: KeptRecipeOptions, plan: () => Planning): AnswerPlanning {
  const key = recipeKey(options);
  const recipe = await findRecipe(options, key);
  if (recipe !== undefined) {
    return {
      kind: "copy-answer",
      origin: "recipe",
      packBytes: recipeBytes(recipe),
      items: replay(recipe, options),
    };
  }
  const planned = yield* plan();
  if (planned.kind !== "copy-entries") return planned;
  const items = recorded(planned, options, key);
  return { kind: "copy-answer", origin: "planned", packBytes: plannedBytes(planned), items };
}

/** A recipe is good for these packs alone. */
function recipeKey({ answerKey, bodies }: KeptRecipeOptions): string {
  const parts = ["recipe", RECIPE_VERSION, answerKey, ...bodies.map(({ id }) => id)];
  return createHash("sha256").update(parts.join(" ")).digest("hex");
}

async function findRecipe(
  { recipes, bodies, signal }: KeptRecipeOptions,
  key: string,
): Promise<PackRecipe | undefined> {
  const items = await recipes.open({ key, isKept: true, signal });
  if (items === undefined) return undefined;
  try {
    const pieces: Uint8Array[] = [];
    for await (const item of items) if (item instanceof Uint8Array) pieces.push(item);
    const recipe = decodePackRecipe(Buffer.concat(pieces));
    assertInside(recipe, bodies);
    return recipe;
  } catch {
    return undefined; // the store of answers has logged it; the plan replaces it
  }
}

function recipeBytes({ copyLengths, literals }: PackRecipe): number {
  return copyLengths.reduce((sum, bytes) => sum + bytes, literals.length);
}

function assertInside(
  { packIds, copyPacks, copyOffsets, copyLengths }: PackRecipe,
  bodies: readonly PackBody[],
): void {
  if (packIds.join() !== bodies.map(({ id }) => id).join())
    throw new CorruptPackError("recipe is for other packs");
  for (const [step, packNumber] of copyPacks.entries()) {
    const endBytes = (copyOffsets[step] as number) + (copyLengths[step] as number);
    if (endBytes > (bodies[packNumber]?.packBytes ?? 0))
      throw new CorruptPackError("recipe reads past the end of a pack", { step });
  }
}

function replay(
  recipe: PackRecipe,
  { bodies, streamBudget }: KeptRecipeOptions,
): AsyncGenerator<Uint8Array, void> {
  const open: OpenRange = ({ packNumber, offsetBytes, endBytes }) => {
    const body = bodies[packNumber];
    if (body === undefined) throw new RangeError(`no pack has the number ${packNumber}`);
    return body.stream(offsetBytes, endBytes - offsetBytes);
  };
  return copyRecipe(recipe, open, streamBudget);
}

async function* recorded(
  plan: PackPlan & { kind: "copy-entries" },
  { recipes, bodies, ofsDelta, signal }: KeptRecipeOptions,
  key: string,
): AsyncGenerator<Uint8Array, void> {
  const recorder = new RecipeRecorder();
  yield* writePack({ ...plan, ofsDelta, recorder });
  const recipe = recorder.recipe(bodies.map(({ id }) => id));
  if (recipe !== undefined) await keepRecipe(recipe, { recipes, signal }, key);
}

async function keepRecipe(
  recipe: PackRecipe,
  { recipes, signal }: Pick<KeptRecipeOptions, "recipes" | "signal">,
  key: string,
): Promise<void> {
  async function* make(): AsyncGenerator<Uint8Array, void> {
    yield encodePackRecipe(recipe);
  }
  try {
    const kept = await recipes.open({ key, isKept: true, signal, make });
    for await (const _item of kept ?? []);
  } catch {
    // The client has its pack. The store of answers has logged the error; the next clone is planned again.
  }
}

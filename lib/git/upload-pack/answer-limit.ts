/**
 * Refuses an answer that is larger than its transport can send: in an ERR packet, before the first byte of the pack. One that
 * turns out larger than planned ends on side-band 3.
 */
import { LimitExceededError } from "../../errors.ts";
import type { AnswerItem, UploadPackSource } from "../ports.ts";
import type { AnswerPlanning, FinishedPack, PackPlan, ProgressText } from "./plan.ts";
import { RefusedRequestError } from "./refused-request.ts";

export interface AnswerLimit {
  /** Of a pack as planned. */
  readonly maxPlannedBytes: number;
  /** Of a pack as sent: deltas whose base is not sent become longer. */
  readonly maxSentBytes: number;
  /** Called once for an answer that is refused. @returns The text for the client, of one or more lines. */
  readonly refuse: (packBytes: number) => Promise<string>;
}

/**
 * Plans first where the whole repository exceeds the limit; below, no answer can.
 * @throws {RefusedRequestError} The answer is too large.
 */
export async function planWithinLimit(
  source: Pick<UploadPackSource, "packBodies">,
  planning: AnswerPlanning,
  limit: AnswerLimit | undefined,
): Promise<AnswerPlanning> {
  if (limit === undefined || totalPackBytes(source) <= limit.maxPlannedBytes) return planning;
  const { progress, plan } = await finished(planning);
  const packBytes = plannedBytes(plan);
  if (packBytes > limit.maxPlannedBytes) throw new RefusedRequestError(await limit.refuse(packBytes));
  return replay(progress, plan);
}

/** The same, planned to its end. @throws What planning throws. */
export async function settled(planning: AnswerPlanning): Promise<AnswerPlanning> {
  const { progress, plan } = await finished(planning);
  return replay(progress, plan);
}

async function finished(planning: AnswerPlanning) {
  const progress: ProgressText[] = [];
  let step = await planning.next();
  for (; !step.done; step = await planning.next()) progress.push(step.value);
  return { progress, plan: step.value };
}

/** The items, up to the limit. @throws {LimitExceededError} While iterating: there are more. */
export async function* sentWithinLimit<Item extends AnswerItem>(
  items: AsyncIterable<Item>,
  { maxSentBytes, refuse }: AnswerLimit,
): AsyncGenerator<Item, void, undefined> {
  let sentBytes = 0;
  for await (const item of items) {
    if (item instanceof Uint8Array) sentBytes += item.length;
    if (sentBytes > maxSentBytes) throw new LimitExceededError(await refuse(sentBytes), { maxSentBytes });
    yield item;
  }
}

export function totalPackBytes({ packBodies }: Pick<UploadPackSource, "packBodies">): number {
  return packBodies.reduce((sum, { packBytes }) => sum + packBytes, 0);
}

/** About: entries whose base the client will not have become longer. 0 for what others have limited already. */
export function plannedBytes(plan: PackPlan | FinishedPack): number {
  switch (plan.kind) {
    case "copy-packs":
      return plan.bodies.reduce((sum, { sentEndBytes }) => sum + sentEndBytes, 0);
    case "copy-answer":
      return plan.packBytes ?? 0;
    case "copy-entries": {
      const { packs } = plan.objects;
      let bytes = 0;
      for (const objectNumber of plan.objectNumbers) {
        const { offsetBytes, endBytes } = packs.extent(objectNumber);
        bytes += endBytes - offsetBytes;
      }
      return bytes;
    }
  }
}

async function* replay(progress: readonly ProgressText[], plan: PackPlan | FinishedPack): AnswerPlanning {
  yield* progress;
  return plan;
}

/** About how much memory a plan and its answer take, for who admits them. What requests share is not counted. */
import type { UploadPackSource } from "../ports.ts";
import type { FetchRequest } from "./fetch-request.ts";
import type { FinishedPack, PackPlan } from "./plan.ts";

/** Most fetches from a large repository need far less. */
const MAX_PLAN_BYTES = 16 * 1024 * 1024;
/** Of what the request names: ids as text, in sets, and what is known of their commits. */
const PLAN_BYTES_PER_NAMED = 400;
/** Of an answer that is planned: marks, and what is known of those written. */
const HELD_BYTES_PER_OBJECT = 6;
const HELD_BYTES_PER_SENT_OBJECT = 4;
/** Of the plan, before: marks and the list of those to be sent take less. */
const MAX_BYTES_PER_OBJECT = HELD_BYTES_PER_OBJECT + HELD_BYTES_PER_SENT_OBJECT;
/** What is read ahead of entries, beside some for each. */
const MAX_AHEAD_BYTES = 2.5 * 1024 * 1024;
const AHEAD_BYTES_PER_OBJECT = 1024;
/** Chunks that are being filled, and those on their way to the client. */
const OUTPUT_BYTES = 768 * 1024;
/** From this share on, what is known of written objects is in arrays over all objects, see WrittenEntries. */
const DENSE_SHARE = 1 / 16;

/** Before it is known what will be sent: not less than the answer takes then, or answers would take more than was admitted. */
export function maxPlanBytes({ objectCount }: UploadPackSource, namedCount: number): number {
  const planBytes = objectCount * MAX_BYTES_PER_OBJECT + aheadBytes(objectCount) + OUTPUT_BYTES;
  return Math.min(MAX_PLAN_BYTES, planBytes) + namedCount * PLAN_BYTES_PER_NAMED;
}

export function namedCountOf({ wants, haves, shallows }: FetchRequest): number {
  return wants.length + haves.length + shallows.length;
}

export function planHeldBytes(plan: PackPlan | FinishedPack): number {
  if (plan.kind !== "copy-entries") return OUTPUT_BYTES;
  const { objects, objectNumbers } = plan;
  const sentCount = objectNumbers.length;
  const perObject = sentCount >= objects.objectCount * DENSE_SHARE ? HELD_BYTES_PER_OBJECT : 1;
  const listBytes = sentCount * HELD_BYTES_PER_SENT_OBJECT;
  return objects.objectCount * perObject + listBytes + aheadBytes(sentCount) + OUTPUT_BYTES;
}

function aheadBytes(sentCount: number): number {
  return Math.min(MAX_AHEAD_BYTES, sentCount * AHEAD_BYTES_PER_OBJECT);
}

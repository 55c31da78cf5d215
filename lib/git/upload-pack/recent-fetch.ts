/**
 * Answers fetches of what is new from the recent objects alone, see RecentObjects. Whatever goes beyond them is answered from all objects,
 * and the client does not notice: nothing is sent before the plan is made. Haves that are not recent are not acknowledged, which changes
 * nothing for a client whose negotiation ends. In protocol 2 only: the other one acknowledges have by have.
 */

import { BeyondRecentError } from "../history/beyond-recent-error.ts";
import type { ObjectId } from "../object-id.ts";
import type { AnswerItem, PackedObjects, SharedAnswers, UploadPackSource } from "../ports.ts";
import { peelObject } from "../walk/peel.ts";
import { wantsBesideTips } from "./check-wants.ts";
import type { FetchRequest } from "./fetch-request.ts";
import { NotHereError } from "./refused-request.ts";

/**
 * @param answer - Throws {@link BeyondRecentError} where the recent objects do not suffice.
 * @returns `undefined` if the request needs all objects.
 */
export async function answerFromRecent<Answer>(
  source: UploadPackSource,
  request: FetchRequest,
  signal: AbortSignal | undefined,
  answer: (recent: UploadPackSource) => Promise<Answer>,
): Promise<Answer | undefined> {
  if (!asksForNews(request, source)) return undefined;
  const reader = source.forReader(signal);
  const refList = await reader.readRefs();
  if (wantsBesideTips(refList, request.wants).length > 0) return undefined;
  const objects = await reader.openRecent?.();
  if (objects === undefined) return undefined;
  try {
    return await answer(recentSource(reader, objects));
  } catch (error) {
    // What is not here may have come to the primary meanwhile: that is looked for once.
    if (error instanceof BeyondRecentError || error instanceof NotHereError) return undefined;
    throw error;
  }
}

/** A client that has objects, and wants what was added to them. */
function asksForNews(
  { haves, shallows, deepen, filter, uriProtocols }: FetchRequest,
  { handsOutUrls }: UploadPackSource,
): boolean {
  const takesPacks = uriProtocols.length > 0 && handsOutUrls;
  return (
    haves.length > 0 && shallows.length === 0 && deepen === undefined && filter === undefined && !takesPacks
  );
}

/** @param source - For one reader, as `objects`. */
function recentSource(source: UploadPackSource, objects: PackedObjects): UploadPackSource {
  const recent: UploadPackSource = {
    isRecent: true,
    forReader: () => recent,
    objectCount: objects.objectCount,
    readRefs: () => source.readRefs(),
    openObjects: async () => objects,
    // A client's names of other objects mean nothing to them.
    mayHoldUnreachable: false,
    packBodies: source.packBodies,
    streamBudget: source.streamBudget,
    openPacks: () => Promise.reject(new BeyondRecentError()),
    handsOutUrls: false,
    offerBundles: async () => [],
    ...(source.answers && { answers: unlessRepeated(source.answers) }),
  };
  return recent;
}

/** What others ask for at the same time is made once for all, from all objects. */
function unlessRepeated(answers: SharedAnswers): SharedAnswers {
  return {
    open: (): Promise<AsyncIterable<AnswerItem> | undefined> => Promise.reject(new BeyondRecentError()),
    isRepeated(key) {
      if (answers.isRepeated(key)) throw new BeyondRecentError();
      return false;
    },
  };
}

/** What a negotiation has come to. */
interface Negotiated {
  readonly wants: readonly ObjectId[];
  readonly haves: readonly ObjectId[];
  /** Those of `haves` that were found. */
  readonly commonIds: ReadonlySet<ObjectId>;
  readonly sendsPack: boolean;
}

/**
 * Of recent objects: a want may not be silently absent, what the client has of other branches is not to be sent again, it is not to come
 * again because of haves that are not here. Whether it has all that is older shows when the pack is planned.
 * @throws {BeyondRecentError}
 */
export async function assertRecentSuffice(objects: PackedObjects, negotiated: Negotiated): Promise<void> {
  const { history } = objects;
  const { wants, haves, commonIds, sendsPack } = negotiated;
  if (history === undefined) throw new BeyondRecentError();
  for (const id of wants) {
    const peeled = await peelObject(objects, id);
    if (peeled === undefined || history.rowOf(peeled.objectNumber) < 0) throw new BeyondRecentError();
  }
  for (const id of haves) if (!commonIds.has(id) && history.leavesOut(id)) throw new BeyondRecentError();
  if (!sendsPack && new Set(haves).size > commonIds.size) throw new BeyondRecentError();
}

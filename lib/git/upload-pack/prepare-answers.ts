/** Makes in advance the answers that CI asks for most: one commit of the default branch, without history. */
import type { ObjectId } from "../object-id.ts";
import type { AnswerRequest, SharedAnswers, UploadPackSource } from "../ports.ts";
import { untilAborted } from "../until-aborted.ts";
import type { FetchRequest } from "./fetch-request.ts";
import { FetchSession } from "./fetch-session.ts";
import { resolveHead } from "./find-refs.ts";
import { UnsharedAnswerError } from "./shared-answer.ts";

export interface PreparedAnswers {
  /** Of all of them, also those that were there already. */
  readonly keys: readonly string[];
  readonly madeCount: number;
}

/**
 * As stock git asks: `git clone --depth 1` wants the tags of what it gets, `git fetch --no-tags --depth 1`, as CI's checkout
 * steps say it, does not. Where there are no annotated tags both are one.
 * @throws What broke off the making; the signal's reason.
 */
export async function prepareAnswers(
  source: UploadPackSource,
  signal: AbortSignal | undefined,
): Promise<PreparedAnswers> {
  const { answers } = source;
  const head = resolveHead(await source.readRefs());
  const keys = new Set<string>();
  let madeCount = 0;
  if (answers === undefined || head === undefined) return { keys: [], madeCount };
  for (const includeTag of [true, false]) {
    const session = await FetchSession.open(source, depthOneOf(head.id, includeTag), signal);
    const request = await session.requestAnswer(signal);
    if (request === undefined || keys.has(request.key)) continue;
    keys.add(request.key);
    if (!(await isThere(answers, request)) && (await make(answers, request, signal))) madeCount += 1;
  }
  return { keys: [...keys], madeCount };
}

function depthOneOf(commitId: ObjectId, includeTag: boolean): FetchRequest {
  return {
    wants: [commitId],
    wantRefs: [],
    haves: [],
    shallows: [],
    deepen: { kind: "depth", depth: 1, isRelative: false },
    filter: undefined,
    isDone: true,
    waitForDone: false,
    thinPack: true,
    ofsDelta: true,
    noProgress: true,
    includeTag,
    sidebandAll: false,
    uriProtocols: [],
  };
}

async function isThere(answers: SharedAnswers, { make: _, ...request }: AnswerRequest): Promise<boolean> {
  const items = await answers.open(request);
  if (items === undefined) return false;
  try {
    for await (const _item of items) return true;
  } catch {
    // It is damaged: the store of answers has logged and removed it.
  }
  return false;
}

/** @returns Whether it is one to be kept. */
async function make(
  answers: SharedAnswers,
  request: AnswerRequest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const items = await answers.open({ ...request, endsWhenKept: true });
  if (items === undefined) return false;
  try {
    for await (const _item of untilAborted(items, signal));
    return true;
  } catch (error) {
    if (error instanceof UnsharedAnswerError) return false;
    throw error;
  }
}

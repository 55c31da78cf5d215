/** Reports how fresh a repository is, and waits until it has a ref or a commit: for scripts, behind the same access as git. */
import { setTimeout as pause } from "node:timers/promises";
import { describeAge } from "../age.ts";
import { byteText } from "../git/byte-text.ts";
import { type ObjectId, parseObjectId } from "../git/object-id.ts";
import { isRefName } from "../git/ref-name.ts";
import { findRef, refValues } from "../git/upload-pack/find-refs.ts";
import type { Newer } from "../git/upload-pack/upload-pack.ts";
import { findUnreachable } from "../git/walk/reachable.ts";
import { textResponse } from "../http/error-response.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import type { RepositoryRecord } from "../repo/repository-record.ts";
import type { AllowedAccess } from "./access-decision.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { ServedSource } from "./served-source.ts";

/** How the mirroring of a repository goes; `undefined` if nothing is noted. */
export type ReadState = (uuid: string) => Promise<RepositoryRecord | undefined>;

/** As long as API Gateway lets an answer be silent, and some for the answer. */
const MAX_WAIT_SECONDS = 240;
const DEFAULT_WAIT_SECONDS = 20;

/** Between two looks at the primary. */
const PAUSE_MS = { first: 500, factor: 1.5, max: 5_000 } as const;

/** Why a sync failed is for those who run the mirror. */
export async function answerStatus(
  source: ServedSource,
  readState: ReadState | undefined,
): Promise<HttpResponse> {
  const { generation, uuid = "" } = source;
  const { state, firstSyncAt, lastSyncAt, failedSyncCount, hashes } = (await readState?.(uuid)) ?? {};
  return json(200, source, { state, generation, firstSyncAt, lastSyncAt, failedSyncCount, hashes });
}

/** @param refresh - Syncs; see `OnDemand`. */
export async function answerWait(
  source: ServedSource,
  { query, signal }: HttpRequest,
  refresh: (missing: string, lookedAt: ServedSource) => Promise<Newer<ServedSource> | undefined>,
): Promise<HttpResponse> {
  const ref = query.get("ref") ?? undefined;
  const idText = query.get("id") ?? undefined;
  const timeout = query.get("timeout") ?? String(DEFAULT_WAIT_SECONDS);
  const isIdRight = idText === undefined || /^[0-9a-f]{40}$/.test(idText);
  // A short name would never be found.
  const isRefRight = ref === undefined || isRefName(byteText(new TextEncoder().encode(ref)));
  const isTimeoutRight = /^\d{1,3}$/.test(timeout) && Number(timeout) <= MAX_WAIT_SECONDS;
  if ((ref === undefined && idText === undefined) || !isRefRight || !isIdRight || !isTimeoutRight) {
    const text = `give ref=<full name, such as refs/heads/main>, id=<40 hex digits> or both, and perhaps timeout=<0 to ${MAX_WAIT_SECONDS} s>`;
    return textResponse(400, text, NO_CACHE_HEADERS);
  }
  const id = idText === undefined ? undefined : parseObjectId(idText);
  const refName = ref === undefined ? undefined : byteText(new TextEncoder().encode(ref));
  const untilMs = Date.now() + Number(timeout) * 1000;
  let latest = source;
  let pauseMs: number = PAUSE_MS.first;
  while (!(await isThere(latest, refName, id))) {
    if (signal.aborted || Date.now() >= untilMs) return json(504, latest, { isThere: false });
    latest = (await refresh(`${ref ?? ""} ${idText ?? ""}`, latest))?.source ?? latest;
    if (await isThere(latest, refName, id)) break;
    // Rejects only when the caller has left.
    await pause(Math.min(pauseMs, Math.max(0, untilMs - Date.now())), undefined, { signal }).catch(
      () => undefined,
    );
    pauseMs = Math.min(pauseMs * PAUSE_MS.factor, PAUSE_MS.max);
  }
  return json(200, latest, { isThere: true });
}

/** With both, whether the ref has this value; of an id alone, whether it could be fetched. */
async function isThere(
  source: ServedSource,
  refName: string | undefined,
  id: ObjectId | undefined,
): Promise<boolean> {
  const refList = await source.readRefs();
  if (refName !== undefined) {
    const ref = findRef(refList, refName);
    return ref !== undefined && (id === undefined || ref.id === id);
  }
  if (id === undefined) return false;
  if (refValues(refList).has(id)) return true;
  const objects = await source.openObjects();
  if (objects.findId(id) < 0) return false;
  return !source.mayHoldUnreachable || (await findUnreachable(objects, refList, [id])).size === 0;
}

function json(
  status: 200 | 504,
  { verifiedAt }: ServedSource,
  more: Readonly<Record<string, unknown>>,
): HttpResponse {
  const body = { ...more, verifiedAt: verifiedAt?.toISOString() };
  return textResponse(status, JSON.stringify(body), {
    ...NO_CACHE_HEADERS,
    "content-type": "application/json",
  });
}

export function staleNotice({ staleSeconds }: AllowedAccess): string | undefined {
  if (staleSeconds === undefined) return undefined;
  return `mirror: Bitbucket could not be asked just now; it allowed you this ${staleSeconds} s ago, and the content may be older than there\n`;
}

/** Of this request alone, though its pack may be one that was made for many. */
export function freshnessLine(
  { verifiedAt }: ServedSource,
  { staleSeconds }: AllowedAccess,
): string | undefined {
  if (verifiedAt === undefined) return undefined;
  const stale = staleSeconds === undefined ? "" : ", stale: primary unreachable";
  return `nearside: refs verified ${describeAge(Date.now() - verifiedAt.getTime())} ago${stale}\n`;
}

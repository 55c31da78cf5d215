/**
 * Answers a batch of downloads. A link to the store only for a file that the primary has confirmed for this very repository, which
 * has a pointer to it: a pointer proves nothing by itself, as strangers write pointers too. For all others the primary's own entry
 * for this caller, word by word; also for those whose confirmation is old, unless the primary cannot be asked.
 */
import type { LfsEntry } from "../bitbucket/lfs-batch.ts";
import { errorFields } from "../errors.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { serverUrlOf } from "../http/server-url.ts";
import type { Logger } from "../log.ts";
import { lfsFileKey, type RepositoryUuid } from "../repo/layout.ts";
import { isConfirmed, LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import type { AskedObject, LfsBatch } from "./batch-request.ts";
import type { CopyRequests } from "./copy-requests.ts";
import type { KnownRights } from "./known-rights.ts";
import { lfsError, lfsResponse } from "./lfs-response.ts";
import { type AskLfsPrimary, askForEntries } from "./upstream-entries.ts";

export interface DownloadOptions {
  readonly rights: KnownRights;
  readonly urls: BlobUrls;
  /** Absent where nothing is copied, and so nothing confirmed: then nothing is linked either. */
  readonly copies?: CopyRequests | undefined;
  readonly log: Logger;
  readonly nowMs?: () => number;
}

export interface DownloadQuestion {
  readonly request: HttpRequest;
  readonly batch: LfsBatch;
  readonly uuid: RepositoryUuid | undefined;
  /** `workspace/slug`. */
  readonly primaryPath: string;
  /** With the caller's credential. */
  readonly askPrimary: AskLfsPrimary;
}

/** A link expires later than the answer states: the client's download begins later than this answer. */
const LINK_MARGIN_SECONDS = 60;
/** A link that ends within seconds is expired to git-lfs, which then asks without end. */
const MIN_LINK_SECONDS = 60;
/**
 * git-lfs waits as long as the `Retry-After` of a whole batch says. Where that is longer, it gets what there is, and an error for
 * each of the other files.
 */
const MAX_WAIT_SECONDS = 60;

/** Of `WorkSlices`: a signature takes up to 0.2 ms. */
const LINK_STEPS = 150;

type ValidObject = AskedObject & { readonly sizeBytes: number };

export async function answerDownload(
  question: DownloadQuestion,
  options: DownloadOptions,
): Promise<HttpResponse> {
  const { request, batch, uuid, primaryPath, askPrimary } = question;
  const { log, copies, nowMs = Date.now } = options;
  const valid = batch.hashAlgorithm === "sha256" ? batch.objects.filter(isValid) : [];
  const nowSeconds = nowMs() / 1000;
  const rights =
    uuid === undefined || copies === undefined || valid.length === 0
      ? new Map<string, LfsRecord>()
      : await options.rights.find(
          uuid,
          valid.map(({ oid }) => oid),
        );
  const known = [...rights.values()];
  const confirmed = known.filter((record) => isConfirmed(record, nowSeconds));
  const stored = await linkedEntries(confirmed, request, options);
  const asked = valid.filter(({ oid }) => !stored.has(oid));
  const { entries, unanswered, limitedSeconds, limitedText } = await askForEntries(askPrimary, asked, {
    signal: request.signal,
    log,
  });
  const old = known.filter((record) => unanswered.has(record.oid) && isConfirmed(record, nowSeconds, true));
  for (const [oid, entry] of await linkedEntries(old, request, options)) stored.set(oid, entry);
  const isIncomplete = unanswered.size > old.length;
  if (isIncomplete && limitedSeconds !== undefined && limitedSeconds <= MAX_WAIT_SECONDS)
    return lfsError(429, `${limitedText}; try again in ${limitedSeconds} s`, {
      "retry-after": String(limitedSeconds),
    });
  const wanted = asked.flatMap(({ oid, sizeBytes }) => {
    const { actions, size } = entries.get(oid) ?? {};
    const isWanted = actions?.download != null && mayBeCopied(rights.get(oid), nowSeconds);
    return isWanted ? [{ oid, sizeBytes: size || sizeBytes }] : [];
  });
  // Before the answer: a function is stopped after it. The copy does not depend on the caller.
  if (uuid !== undefined)
    await copies
      ?.request({ workspace: primaryPath.split("/")[0] ?? "", uuid }, wanted)
      .catch((error: unknown) => log.error("lfs:not-queued", { uuid, ...errorFields(error) }));
  const refusal = batch.hashAlgorithm === "sha256" ? INVALID_OBJECT : OTHER_HASH;
  const objects = batch.objects.map(
    ({ oid, sizeBytes = 0 }) =>
      stored.get(oid) ?? entries.get(oid) ?? { oid, size: sizeBytes, error: refusal },
  );
  const counts = {
    objects: objects.length,
    links: stored.size,
    askedAtPrimary: asked.length,
    toCopy: wanted.length,
  };
  const measured = { LfsLinks: stored.size, LfsMisses: asked.length };
  log.info("lfs:batch", { repo: primaryPath, ...counts }, measured);
  return lfsResponse(200, { transfer: "basic", objects });
}

const INVALID_OBJECT = {
  code: 422,
  message: "the oid must be 64 hex digits in lower case, the size a number",
};
/** Unnamed, as git-lfs stops where a server names a hash that it does not know. */
const OTHER_HASH = { code: 409, message: "this server knows files by their SHA-256 only" };

function isValid(object: AskedObject): object is ValidObject {
  return object.sizeBytes !== undefined;
}

/** No request of the store. */
async function linkedEntries(
  records: readonly LfsRecord[],
  request: HttpRequest,
  { urls }: DownloadOptions,
): Promise<Map<string, LfsEntry>> {
  if (records.length === 0) return new Map();
  const expiresInSeconds = Math.max(MIN_LINK_SECONDS, (await urls.lifetimeSeconds()) - LINK_MARGIN_SECONDS);
  const serverUrl = serverUrlOf(request);
  const entries = new Map<string, LfsEntry>();
  const slices = new WorkSlices({ signal: request.signal });
  for (const { oid, sizeBytes } of records) {
    const href = await urls.urlOf(lfsFileKey(oid), sizeBytes, serverUrl);
    // `authenticated`: git-lfs adds no credential of its own, which the storage would refuse.
    const actions = { download: { href, expires_in: expiresInSeconds } };
    entries.set(oid, { oid, size: sizeBytes, authenticated: true, actions });
    const pause = slices.spend(LINK_STEPS);
    if (pause !== undefined) await pause;
  }
  return entries;
}

/** Where a copy failed, or the file is too large, the plan of a sync decides when to try again. */
function mayBeCopied(record: LfsRecord | undefined, nowSeconds: number): boolean {
  // The primary has the missing file now. Copying a stored file confirms it again.
  return record === undefined || record.state === LFS_STATE.missing || record.seconds <= nowSeconds;
}

/** The primary's own entries for a caller, asked for with the caller's credential. */
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-batch.ts";
import { errorFields, MirrorError, NotFoundError, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";

/** Asks about at most 100 files of one repository; errors as of `lfsClient`. */
export type AskLfsPrimary = (
  objects: readonly LfsObject[],
  signal: AbortSignal,
) => Promise<ReadonlyMap<string, LfsEntry>>;

export interface PrimaryEntries {
  /** One for each file asked about, in the primary's words; where it gave none, an error. */
  readonly entries: ReadonlyMap<string, LfsEntry>;
  /** Those for which the primary, in an outage or because of the caller's rate, has no answer. */
  readonly unanswered: ReadonlySet<string>;
  /** The caller's rate is limited: all may be had after so many seconds. */
  readonly limitedSeconds?: number;
  /** By whom, for the caller. */
  readonly limitedText?: string;
}

const MAX_ASKED_AT_ONCE = 100;
/** For all files together: the caller waits, and may ask again. */
const DEADLINE_MS = 12_000;
/** What the primary asks for without naming a time. */
const DEFAULT_LIMITED_SECONDS = 10;

export interface AskOptions {
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly deadlineMs?: number;
}

/**
 * Nothing more is asked after a failure, which concerns the caller, the repository or the primary as a whole.
 * @throws Only what is a bug, or the signal's reason.
 */
export async function askForEntries(
  ask: AskLfsPrimary,
  objects: readonly LfsObject[],
  { signal, log, deadlineMs = DEADLINE_MS }: AskOptions,
): Promise<PrimaryEntries> {
  const deadline = AbortSignal.timeout(deadlineMs);
  const ended = AbortSignal.any([signal, deadline]);
  const entries = new Map<string, LfsEntry>();
  let failure: MirrorError | undefined;
  // One after the other: git-lfs asks for 100 at a time, and the primary limits the rate of requests.
  for (let at = 0; at < objects.length && failure === undefined; at += MAX_ASKED_AT_ONCE) {
    try {
      const answer = await ask(objects.slice(at, at + MAX_ASKED_AT_ONCE), ended);
      for (const [oid, entry] of answer) entries.set(oid, entry);
    } catch (error) {
      if (signal.aborted) throw error;
      failure = deadline.aborted ? tooSlow(error) : error instanceof MirrorError ? error : undefined;
      if (failure === undefined) throw error;
      log.warn("lfs:primary-failed", errorFields(failure));
    }
  }
  const error = failure === undefined ? NO_ENTRY : entryErrorOf(failure);
  const unnamed = objects.filter(({ oid }) => !entries.has(oid));
  for (const { oid, sizeBytes: size } of unnamed) entries.set(oid, { oid, size, error });
  const outage = failure instanceof UpstreamError && failure.retryable ? failure : undefined;
  const unanswered = new Set(outage ? unnamed.map(({ oid }) => oid) : []);
  if (outage?.context["status"] !== 429) return { entries, unanswered };
  const limitedSeconds = outage.retryAfterSeconds ?? DEFAULT_LIMITED_SECONDS;
  return { entries, unanswered, limitedSeconds, limitedText: limitedTextOf(outage) };
}

function tooSlow(cause: unknown): UpstreamError {
  return new UpstreamError("the primary takes too long to answer for LFS files", { retryable: true, cause });
}

type EntryError = NonNullable<LfsEntry["error"]>;

const NO_ENTRY: EntryError = { code: 503, message: "Bitbucket gave no answer for this file" };

/** Never 401, which would cost the caller a credential that git has just been served with. */
function entryErrorOf(error: MirrorError): EntryError {
  if (error instanceof NotFoundError) return { code: 404, message: "Bitbucket has no such file" };
  const { status } = error.context;
  if (status === 401 || status === 403)
    return { code: 403, message: "Bitbucket does not give LFS files to your credential" };
  if (status === 429) return { code: 429, message: limitedTextOf(error) };
  return { code: 503, message: "not mirrored yet, and Bitbucket cannot be asked for it just now" };
}

function limitedTextOf({ context }: MirrorError): string {
  return context["limitedBy"] === "mirror"
    ? "you asked for too many files at once that are not mirrored yet"
    : "Bitbucket limits the rate of your credential";
}

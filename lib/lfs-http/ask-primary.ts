/** The primary's own entries for a caller, asked for with the caller's credential. */
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-client.ts";
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
  /** The primary limits the caller's rate: all may be had after so many seconds. */
  readonly limitedSeconds?: number;
}

const MAX_ASKED_AT_ONCE = 100;
/** What the primary asks for without naming a time. */
const DEFAULT_LIMITED_SECONDS = 10;

/** @throws Only what is a bug, or the signal's reason. */
export async function askForEntries(
  ask: AskLfsPrimary,
  objects: readonly LfsObject[],
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<PrimaryEntries> {
  const entries = new Map<string, LfsEntry>();
  let limitedSeconds: number | undefined;
  // One after the other: git-lfs asks for 100 at a time, and the primary limits the rate of requests.
  for (let at = 0; at < objects.length; at += MAX_ASKED_AT_ONCE) {
    const asked = objects.slice(at, at + MAX_ASKED_AT_ONCE);
    const answer = await ask(asked, signal).catch((error: unknown) => {
      if (signal.aborted || !(error instanceof MirrorError)) throw error;
      log.warn("lfs:primary-failed", errorFields(error));
      return error;
    });
    if (answer instanceof UpstreamError && answer.context["status"] === 429)
      limitedSeconds = Math.max(limitedSeconds ?? 0, answer.retryAfterSeconds ?? DEFAULT_LIMITED_SECONDS);
    const failure = answer instanceof MirrorError ? failureOf(answer) : NO_ENTRY;
    for (const { oid, sizeBytes: size } of asked) {
      const entry = answer instanceof MirrorError ? undefined : answer.get(oid);
      entries.set(oid, entry ?? { oid, size, error: failure });
    }
  }
  return { entries, ...(limitedSeconds !== undefined && { limitedSeconds }) };
}

type EntryError = NonNullable<LfsEntry["error"]>;

const NO_ENTRY: EntryError = { code: 503, message: "Bitbucket gave no answer for this file" };

/** Never 401, which would cost the caller a credential that git has just been served with. */
function failureOf(error: MirrorError): EntryError {
  if (error instanceof NotFoundError) return { code: 404, message: "Bitbucket has no such file" };
  const { status } = error.context;
  if (status === 401 || status === 403)
    return { code: 403, message: "Bitbucket does not give LFS files to your credential" };
  if (status === 429) return { code: 429, message: "Bitbucket limits the rate of your credential" };
  return { code: 503, message: "not mirrored yet, and Bitbucket cannot be asked for it just now" };
}

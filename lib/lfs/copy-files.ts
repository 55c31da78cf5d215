/**
 * Does a copy job: asks the primary about its files, all at once, and brings those that are not here. What the primary says of
 * a file is noted for this repository alone, also where another repository has brought the bytes before.
 */
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-client.ts";
import {
  assertNotStopped,
  errorFields,
  LimitExceededError,
  NotFoundError,
  StoppedError,
  UnfinishedError,
  UpstreamError,
} from "../errors.ts";
import type { Logger } from "../log.ts";
import { lfsFileKey } from "../repo/layout.ts";
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { copyLfsFile, downloadOf } from "./copy-file.ts";
import type { LfsCopyJob } from "./lfs-job.ts";
import type { LfsPrimary } from "./ports.ts";
import { readRepositoryPointers, sizesByOid } from "./repository-pointers.ts";
import { copyStagedLfsFile, DEFAULT_LFS_STAGING, type LfsStaging, removeLfsParts } from "./staged-file.ts";

export interface LfsCopyOptions {
  readonly storage: RepositoryStorage;
  readonly primary: LfsPrimary;
  /** Larger files stay at the primary. */
  readonly maxFileBytes: number;
  readonly staging?: LfsStaging | undefined;
  /** Of the process. */
  readonly budget: ByteBudget;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
  readonly now?: () => number;
}

export interface LfsCopyReport {
  /** Copied, or found in the store, and noted. */
  readonly files: number;
  readonly copiedFiles: number;
  readonly copiedBytes: number;
  readonly missing: number;
  readonly postponed: number;
}

/** An upload holds some parts of a large file, and little of a small one. */
const UPLOAD_BYTES = { max: 40 * 2 ** 20, least: 256 * 1024 } as const;

const DAY_SECONDS = 24 * 60 * 60;
/** What the primary does not have is asked for after a day, then twice as long each time, up to a month. */
const MAX_MISSING_DAYS = 30;
/** In place of a time: not until it is asked for. */
const NEVER_SECONDS = 0xffffffff;

type FileOutcome =
  | { readonly kind: "stored"; readonly record: LfsRecord; readonly copiedBytes: number | undefined }
  | { readonly kind: "missing" | "postponed"; readonly record: LfsRecord }
  | { readonly kind: "failed"; readonly error: unknown };

/**
 * What was done is noted, whatever fails after it; done again, the job does what is left.
 * @returns `undefined` if there is nothing to do: the repository has none of these pointers.
 * @throws {StoppedError} {@link UnfinishedError} if files were copied. @throws What the first file failed with that may come with another try.
 */
export async function copyFiles(
  job: LfsCopyJob,
  options: LfsCopyOptions,
): Promise<LfsCopyReport | undefined> {
  const { storage, primary, signal, log } = options;
  const rights = new StoredLfsRights(storage.store, job.uuid);
  const [known, found] = await Promise.all([rights.read(), readRepositoryPointers(storage, job.uuid)]);
  if (found === undefined) return undefined;
  const sizes = sizesByOid(found.packs);
  // The job's maker may have been asked for any oid.
  const wanted = job.objects
    .map(({ oid }) => ({ oid, sizeBytes: sizes.get(oid) ?? 0 }))
    .filter(({ oid, sizeBytes }) => sizeBytes > 0 && known.find(oid)?.state !== LFS_STATE.stored);
  if (wanted.length === 0) return undefined;
  const entries = await ask(primary, wanted, options);
  const outcomes = await Promise.all(
    wanted.map((object) => bring(object, entries?.get(object.oid), known.find(object.oid), options)),
  );
  await rights.add(outcomes.flatMap((outcome) => ("record" in outcome ? [outcome.record] : [])));
  const report = reportOf(outcomes);
  log.info("lfs:copied", { repo: `${job.workspace}/${job.uuid}`, ...report });
  const hasProgressed = (outcome: FileOutcome) =>
    outcome.kind === "stored" || (outcome.kind === "failed" && outcome.error instanceof UnfinishedError);
  if (signal.aborted && outcomes.some(hasProgressed))
    throw new UnfinishedError("stopped before all LFS files were copied", { cause: signal.reason });
  assertNotStopped(signal);
  for (const outcome of outcomes) if (outcome.kind === "failed") throw outcome.error;
  return report;
}

/** @returns `undefined` where the primary has no files for the repository at all: they may be kept elsewhere. */
async function ask(
  primary: LfsPrimary,
  wanted: readonly LfsObject[],
  { signal, log }: LfsCopyOptions,
): Promise<ReadonlyMap<string, LfsEntry> | undefined> {
  try {
    return await primary.ask(wanted, signal);
  } catch (error) {
    assertNotStopped(signal);
    if (!(error instanceof NotFoundError)) throw error;
    log.info("lfs:none-at-primary", errorFields(error));
    return undefined;
  }
}

/** Never rejects. */
async function bring(
  object: LfsObject,
  entry: LfsEntry | undefined,
  known: LfsRecord | undefined,
  options: LfsCopyOptions,
): Promise<FileOutcome> {
  const { now = Date.now, maxFileBytes, budget, storage, log, signal, onProgress, primary } = options;
  const { staging = DEFAULT_LFS_STAGING } = options;
  const { oid } = object;
  const nowSeconds = Math.floor(now() / 1000);
  const tries = (known?.tries ?? 0) + 1;
  const laterSeconds = nowSeconds + DAY_SECONDS * Math.min(MAX_MISSING_DAYS, 2 ** (tries - 1));
  const record = (state: LfsRecord["state"], seconds: number, sizeBytes = object.sizeBytes): LfsRecord => ({
    oid,
    sizeBytes,
    state,
    tries: state === LFS_STATE.stored ? 0 : tries,
    seconds,
  });
  const postponed = (seconds: number): FileOutcome => ({
    kind: "postponed",
    record: record(LFS_STATE.postponed, seconds),
  });
  if (entry === undefined || isMissing(entry))
    return { kind: "missing", record: record(LFS_STATE.missing, laterSeconds) };
  const sizeBytes = entry.size !== undefined && entry.size > 0 ? entry.size : object.sizeBytes;
  if (downloadOf(entry) === undefined || !Number.isSafeInteger(sizeBytes)) return postponed(laterSeconds);
  if (sizeBytes > maxFileBytes) return postponed(NEVER_SECONDS);
  const heldBytes = Math.max(UPLOAD_BYTES.least, Math.min(UPLOAD_BYTES.max, 2 * sizeBytes));
  try {
    const copiedBytes = await budget.run(heldBytes, async () => {
      assertNotStopped(signal);
      const maxBytes = Math.max(sizeBytes, object.sizeBytes);
      const isStaged = maxBytes > staging.aboveBytes;
      if (await isStored(storage.store, oid, sizeBytes)) {
        // Left by a process that was killed after its last step but one.
        if (isStaged) await removeLfsParts(storage.store, oid);
        return undefined;
      }
      const copying = {
        ...{ store: storage.store, primary, signal },
        onBytes: (bytes: number) => onProgress?.({ files: 0, bytes }),
      };
      if (!isStaged) return copyLfsFile(entry, maxBytes, copying);
      return copyStagedLfsFile({ entry, sizeBytes, maxBytes, partBytes: staging.partBytes }, copying);
    });
    onProgress?.({ files: 1, bytes: 0 });
    return {
      kind: "stored",
      record: record(LFS_STATE.stored, nowSeconds, copiedBytes ?? sizeBytes),
      copiedBytes,
    };
  } catch (error) {
    if (!(error instanceof StoppedError)) log.warn("lfs:file-failed", { oid, ...errorFields(error) });
    // Another try would bring the same bytes.
    const isWrong = error instanceof UpstreamError && error.context["digest"] !== undefined;
    if (isWrong || error instanceof LimitExceededError) return postponed(laterSeconds);
    return { kind: "failed", error };
  }
}

/** Only what says so itself: a failure of the primary's is no evidence. */
function isMissing({ error }: LfsEntry): boolean {
  return error !== undefined && [404, 410, 422].includes(error.code);
}

/** One request. What is in the store under an oid has these bytes. */
async function isStored(store: BlobStore, oid: string, sizeBytes: number): Promise<boolean> {
  try {
    return (await store.readUpTo(lfsFileKey(oid), sizeBytes - 1, 2)).length === 1;
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof RangeError) return false;
    throw error;
  }
}

function reportOf(outcomes: readonly FileOutcome[]): LfsCopyReport {
  const stored = outcomes.filter((outcome) => outcome.kind === "stored");
  const copied = stored.filter(({ copiedBytes }) => copiedBytes !== undefined);
  return {
    files: stored.length,
    copiedFiles: copied.length,
    copiedBytes: copied.reduce((sum, { copiedBytes = 0 }) => sum + copiedBytes, 0),
    missing: outcomes.filter(({ kind }) => kind === "missing").length,
    postponed: outcomes.filter(({ kind }) => kind === "postponed").length,
  };
}

/** Brings one file of a copy job, as the primary's entry for it says. */
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-batch.ts";
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
import { LFS_STATE, type LfsRecord, NEVER_SECONDS } from "../repo/lfs-rights-table.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { copyLfsFile, downloadOf } from "./copy-file.ts";
import type { LfsPrimary } from "./ports.ts";
import { copyStagedLfsFile, DEFAULT_LFS_STAGING, type LfsStaging, removeLfsParts } from "./staged-file.ts";
import type { TransferQueue } from "./transfer-queue.ts";

export interface BringOptions {
  readonly storage: RepositoryStorage;
  readonly primary: LfsPrimary;
  /** Larger files stay at the primary. */
  readonly maxFileBytes: number;
  readonly staging?: LfsStaging | undefined;
  /** Of the process. */
  readonly transfers: TransferQueue;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
  /** Since 1970. */
  readonly nowSeconds: number;
}

/** A file that the repository points to, and what is known of it: its size is the stored file's, or else what the pointer says. */
export interface WantedFile extends LfsObject {
  readonly known: LfsRecord | undefined;
}

export type FileOutcome =
  | { readonly kind: "stored"; readonly record: LfsRecord; readonly copiedBytes: number | undefined }
  | {
      readonly kind: "missing" | "postponed" | "held";
      readonly record: LfsRecord;
      readonly known?: LfsRecord | undefined;
    }
  /** With a record: the next try stages the file. */
  | { readonly kind: "failed"; readonly error: unknown; readonly record?: LfsRecord };

/** An upload holds some parts of a large file, and little of a small one. */
const UPLOAD_BYTES = { max: 40 * 2 ** 20, least: 256 * 1024 } as const;

const DAY_SECONDS = 24 * 60 * 60;
/** What the primary does not have is asked for after a day, then twice as long each time, up to a month. */
const MAX_MISSING_DAYS = 30;
/** What the storage says to a new link of a file that it has lost. */
const GONE: ReadonlySet<unknown> = new Set([404, 410]);

/**
 * What the primary says of one file: its entry, `"left-out"` where its answer has none, or `"no-repository"` where it has no
 * files for the repository at all.
 */
export type PrimaryAnswer = LfsEntry | "left-out" | "no-repository";

/** Never rejects. */
export async function bringFile(
  object: WantedFile,
  entry: PrimaryAnswer,
  options: BringOptions,
): Promise<FileOutcome> {
  const { maxFileBytes, log, nowSeconds } = options;
  const { oid, known } = object;
  const wasStored = known?.state === LFS_STATE.stored;
  const tries = (wasStored ? 0 : (known?.tries ?? 0)) + 1;
  const laterSeconds = nowSeconds + DAY_SECONDS * Math.min(MAX_MISSING_DAYS, 2 ** (tries - 1));
  const { sizeBytes: pointerBytes } = object;
  const postponed = (seconds: number, sizeBytes = pointerBytes): FileOutcome => ({
    kind: "postponed",
    record: { oid, sizeBytes, state: LFS_STATE.postponed, tries, seconds },
  });
  if (entry === "no-repository" || (entry !== "left-out" && isMissing(entry)))
    return {
      kind: "missing",
      record: { oid, sizeBytes: pointerBytes, state: LFS_STATE.missing, tries, seconds: laterSeconds },
      known,
    };
  // What is stored has the bytes of its oid, whatever the primary repeats of a pointer.
  const sizeBytes = (entry !== "left-out" && !wasStored && entry.size) || pointerBytes;
  if (entry === "left-out" || downloadOf(entry) === undefined || !Number.isSafeInteger(sizeBytes)) {
    // No evidence that it is gone.
    const error = new UpstreamError("the primary offers no download", { retryable: true, oid });
    return wasStored ? { kind: "failed", error } : postponed(laterSeconds);
  }
  if (sizeBytes > maxFileBytes && !wasStored) return postponed(NEVER_SECONDS, sizeBytes);
  let arrivedBytes = 0;
  const onProgress: BringOptions["onProgress"] = (progress) => {
    arrivedBytes += progress.bytes;
    options.onProgress?.(progress);
  };
  try {
    const sized = { ...entry, size: sizeBytes };
    const copiedBytes = await copyUnlessStored(object, sized, { ...options, onProgress });
    options.onProgress?.({ files: copiedBytes === undefined ? 0 : 1, bytes: 0 });
    const storedBytes = copiedBytes ?? sizeBytes;
    const record = { oid, sizeBytes: storedBytes, state: LFS_STATE.stored, tries: 0, seconds: nowSeconds };
    return { kind: "stored", record, copiedBytes };
  } catch (error) {
    if (!(error instanceof StoppedError)) log.warn("lfs:file-failed", { oid, ...errorFields(error) });
    // Another try would bring the same bytes.
    const isWrong = error instanceof UpstreamError && error.context["digest"] !== undefined;
    const isGone = error instanceof UpstreamError && GONE.has(error.context["status"]);
    if (isWrong || isGone || error instanceof LimitExceededError) return postponed(laterSeconds);
    const isLost = error instanceof StoppedError && !(error instanceof UnfinishedError) && arrivedBytes > 0;
    if (!isLost || wasStored) return { kind: "failed", error };
    const seconds = nowSeconds + DAY_SECONDS;
    const record = { oid, sizeBytes: pointerBytes, state: LFS_STATE.pending, tries, seconds };
    return { kind: "failed", error, record };
  }
}

/** @returns How many bytes were copied; `undefined` if the file was there. */
function copyUnlessStored(
  object: WantedFile,
  entry: LfsEntry & { readonly size: number },
  { storage: { store }, transfers, primary, signal, onProgress, staging = DEFAULT_LFS_STAGING }: BringOptions,
): Promise<number | undefined> {
  const sizeBytes = entry.size;
  const maxBytes = Math.max(sizeBytes, object.sizeBytes);
  // An earlier try was stopped before its end: this one keeps what arrives.
  const wasStopped = object.known?.state === LFS_STATE.pending && object.known.tries > 0;
  const isStaged = wasStopped || maxBytes > staging.aboveBytes;
  const heldBytes = Math.max(UPLOAD_BYTES.least, Math.min(UPLOAD_BYTES.max, 2 * sizeBytes));
  return transfers.run(heldBytes, async () => {
    assertNotStopped(signal);
    if (await isStored(store, object.oid, sizeBytes)) {
      // Left by a process that was killed after its last step but one.
      if (isStaged) await removeLfsParts(store, object.oid);
      return undefined;
    }
    const onBytes = (bytes: number) => onProgress?.({ files: 0, bytes });
    const copying = { store, primary, signal, onBytes };
    if (!isStaged) return copyLfsFile(entry, maxBytes, copying);
    const { shortSeconds } = staging;
    const applied = { ...staging, shortSeconds: wasStopped ? 0 : shortSeconds };
    return copyStagedLfsFile({ entry, sizeBytes, maxBytes, staging: applied }, copying);
  });
}

/** Only what says so itself: a failure of the primary's is no evidence. */
function isMissing({ error }: LfsEntry): boolean {
  return [404, 410, 422].includes(error?.code ?? 0);
}

/** One request. What is in the store under an oid has these bytes. */
export async function isStored(store: BlobStore, oid: string, sizeBytes: number): Promise<boolean> {
  try {
    return (await store.readUpTo(lfsFileKey(oid), sizeBytes - 1, 2)).length === 1;
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof RangeError) return false;
    throw error;
  }
}

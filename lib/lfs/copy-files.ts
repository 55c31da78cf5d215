/**
 * Does a copy job: asks the primary about its files, all at once, and brings those that are not here. What the primary says of
 * a file is noted for this repository alone, also where another repository has brought the bytes before.
 */
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-batch.ts";
import {
  assertNotStopped,
  errorFields,
  NotFoundError,
  UnfinishedError,
  VersionConflictError,
} from "../errors.ts";
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { type BringOptions, bringFile, type FileOutcome, isStored, type WantedFile } from "./bring-file.ts";
import { holdRemovals, isWanted } from "./confirmations.ts";
import { removeFile } from "./forget-file.ts";
import type { LfsCopyJob } from "./lfs-job.ts";
import type { LfsPrimary } from "./ports.ts";
import { findPointerSizes } from "./repository-pointers.ts";
import { type ForgottenFiles, keepFiles, readForgotten } from "./sweep-notes.ts";

export interface LfsCopyOptions extends Omit<BringOptions, "nowSeconds"> {
  readonly now?: () => number;
}

export interface LfsCopyReport {
  /** Copied, or found in the store, and noted. */
  readonly files: number;
  readonly copiedFiles: number;
  readonly copiedBytes: number;
  readonly missing: number;
  readonly postponed: number;
  /** The primary does not name them any more, with many others at once; see confirmations.ts. */
  readonly held: number;
}

/**
 * What was done is noted, whatever fails after it; done again, the job does what is left.
 * @returns `undefined` if there is nothing to do: the repository has none of these pointers.
 * @throws {StoppedError} {@link UnfinishedError} if files were copied. @throws What the first file failed with that may come with another try.
 */
export async function copyFiles(
  job: LfsCopyJob,
  options: LfsCopyOptions,
): Promise<LfsCopyReport | undefined> {
  const { storage, primary, signal, log, now = Date.now } = options;
  const rights = new StoredLfsRights(storage.store, job.uuid);
  const oids = job.objects.map(({ oid }) => oid);
  const [known, sizes] = await Promise.all([
    rights.findRecords(oids, storage.blocks),
    findPointerSizes(storage, job.uuid, oids),
  ]);
  if (sizes === undefined) return undefined;
  // The job's maker may have been asked for any oid.
  const nowMs = now();
  const nowSeconds = Math.floor(nowMs / 1000);
  const wanted = job.objects
    .map(({ oid }) => wantedFile(oid, sizes.get(oid) ?? 0, known.get(oid)))
    .filter(({ sizeBytes, known }) => sizeBytes > 0 && isWanted(known, nowSeconds));
  if (wanted.length === 0) return undefined;
  const forgotten = await keepFiles(
    storage.store,
    wanted.map(({ oid }) => oid),
    nowMs,
  );
  const entries = await ask(primary, wanted, options);
  const brought = await Promise.all(
    wanted.map((object) => {
      const answer = entries === undefined ? "no-repository" : (entries.get(object.oid) ?? "left-out");
      return bringFile(object, answer, { ...options, nowSeconds });
    }),
  );
  const isAnswered = entries !== undefined;
  const held = await holdRemovals(brought, { rights, isAnswered, nowMs });
  const allowed = await dropForgotten(held, forgotten, storage.store);
  await rights.add(allowed.flatMap(({ record = [] }) => record));
  const outcomes = await dropForgotten(allowed, forgotten, storage.store, rights);
  const report = reportOf(outcomes);
  if (report.held > 0) log.warn("lfs:removals-held", { uuid: job.uuid, files: report.held });
  log.info("lfs:copied", { repo: `${job.workspace}/${job.uuid}`, ...report });
  const hasProgressed = (outcome: FileOutcome) =>
    outcome.kind === "stored" ||
    (outcome.kind === "failed" && (outcome.error instanceof UnfinishedError || outcome.record !== undefined));
  if (signal.aborted && outcomes.some(hasProgressed))
    throw new UnfinishedError("stopped before all LFS files were copied", { cause: signal.reason });
  assertNotStopped(signal);
  for (const outcome of outcomes) if (outcome.kind === "failed") throw outcome.error;
  return report;
}

function wantedFile(oid: string, pointerBytes: number, known: LfsRecord | undefined): WantedFile {
  const isStored = known?.state === LFS_STATE.stored;
  // Another pointer to the same oid may say another size.
  return { oid, sizeBytes: pointerBytes > 0 && isStored ? known.sizeBytes : pointerBytes, known };
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

/**
 * What was forgotten after this job had asked the primary is removed, and fails: the next try asks again. Nor must a right outlive
 * bytes that were deleted after this job had found them. One request where files are stored.
 * @param before - What was forgotten before the question. @param given - If the rights are given already.
 */
async function dropForgotten(
  outcomes: readonly FileOutcome[],
  before: ForgottenFiles,
  store: BlobStore,
  given?: StoredLfsRights,
): Promise<readonly FileOutcome[]> {
  const stored = outcomes.flatMap((outcome) => (outcome.kind === "stored" ? [outcome.record] : []));
  if (stored.length === 0) return outcomes;
  const forgotten = await readForgotten(store);
  const lost = new Set<string>();
  for (const { oid, sizeBytes } of stored) {
    const since = forgotten[oid];
    if (since === undefined) continue;
    if (since !== before[oid]) await removeFile(store, oid);
    else if (await isStored(store, oid, sizeBytes)) continue;
    lost.add(oid);
  }
  if (lost.size === 0) return outcomes;
  await given?.rewrite((record) => !lost.has(record.oid));
  const error = new VersionConflictError("an LFS file was forgotten while it was copied");
  return outcomes.map((outcome) =>
    outcome.kind === "stored" && lost.has(outcome.record.oid) ? { kind: "failed", error } : outcome,
  );
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
    held: outcomes.filter(({ kind }) => kind === "held").length,
  };
}

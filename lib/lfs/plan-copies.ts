/**
 * Looks through the pointers of a repository and makes jobs of what is to be copied: the files of branches and tags, or all. A
 * plan that is made again finds what is new since.
 */
import { CorruptPackError, errorFields, NotFoundError } from "../errors.ts";
import { markTipObjects } from "../git/walk/tip-objects.ts";
import type { Logger } from "../log.ts";
import type { JobQueue } from "../queue/job-queue.ts";
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { type LfsRights, StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import { isConfirmationDue } from "./confirmations.ts";
import { readLfsConfigUrl } from "./lfs-config-file.ts";
import { type LfsPlanJob, requestCopies, requestFind } from "./lfs-job.ts";
import type { LfsCopyPolicy } from "./lfs-policy.ts";
import {
  type PackPointers,
  type RepositoryPointers,
  readRepositoryPointers,
  sizesByOid,
} from "./repository-pointers.ts";

export interface LfsPlanOptions {
  readonly storage: RepositoryStorage;
  readonly queue: JobQueue;
  readonly policy: LfsCopyPolicy;
  readonly maxFileBytes: number;
  readonly log: Logger;
  readonly now?: () => number;
}

export interface LfsPlanReport {
  readonly pointers: number;
  readonly pointerBytes: number;
  /** Files that jobs were made for. */
  readonly plannedFiles: number;
  readonly plannedBytes: number;
}

/** Of one plan: files to confirm, and those that were not to be had before. 100 requests; the rest waits for the next plan. */
const MAX_DUE = 10_000;

/** @returns `undefined` if nothing was published, or nothing is to be copied. @throws {DamagedRepositoryError} */
export async function planCopies(
  job: LfsPlanJob,
  options: LfsPlanOptions,
): Promise<LfsPlanReport | undefined> {
  const { storage, queue, policy, log, now = Date.now } = options;
  if (policy === "none") return undefined;
  const found = await readRepositoryPointers(storage, job.uuid);
  if (found === undefined) return undefined;
  const stored = new StoredLfsRights(storage.store, job.uuid);
  const rights = await readRights(stored, log);
  const sizes = sizesByOid(found.packs);
  const planned = await filesToCopy(found, rights, options);
  // First the record: a job that is lost is planned again when its time has come.
  await stored.add(pendingRecords(planned, rights, now() / 1000));
  await requestCopies(queue, job, planned, `-${job.queuedAt}`);
  const report = {
    pointers: sizes.size,
    pointerBytes: [...sizes.values()].reduce((sum, sizeBytes) => sum + sizeBytes, 0),
  };
  const plannedPacks = found.packs.flatMap(({ pack, pointers }) => (pointers === undefined ? [] : [pack.id]));
  const plannedRefs = found.repository.manifest.refs.sha256;
  const plannedAt = new Date(now()).toISOString();
  const configuredUrl = sizes.size > 0 ? await configuredUrlOf(found.repository, rights) : undefined;
  await stored.notePlanned({
    ...{ ...report, plannedPacks, plannedFor: policy, plannedRefs, plannedAt },
    configuredUrl,
  });
  await forgetUnpointed(stored, rights, found.packs, sizes);
  const unknownPacks = found.packs.filter(({ pointers }) => pointers === undefined);
  if (unknownPacks.length > 0) await requestFind(queue, job, unknownPacks.at(-1)?.pack.id ?? "");
  const plannedBytes = planned.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const result = { ...report, plannedFiles: planned.length, plannedBytes };
  if (planned.length > 0) log.info("lfs:planned", { repo: `${job.workspace}/${job.uuid}`, ...result });
  return result;
}

/** Read anew where refs have changed. */
async function configuredUrlOf(
  repository: RepositoryPointers["repository"],
  { document }: LfsRights,
): Promise<string | undefined> {
  if (document.plannedRefs === repository.manifest.refs.sha256) return document.configuredUrl;
  const [objects, refs] = await Promise.all([repository.openObjects(), repository.readRefs()]);
  return asRepositoryDamage(() => readLfsConfigUrl(objects, refs));
}

async function readRights(stored: StoredLfsRights, log: Logger): Promise<LfsRights> {
  try {
    return await stored.read();
  } catch (error) {
    const isDamage = [CorruptPackError, RangeError, NotFoundError].some((kind) => error instanceof kind);
    if (!isDamage) throw error;
    log.error("store:damaged", errorFields(error));
    await stored.dropDamagedTables();
    return stored.read();
  }
}

interface PlannedFile {
  readonly oid: string;
  readonly sizeBytes: number;
}

async function filesToCopy(
  { repository, packs }: RepositoryPointers,
  rights: LfsRights,
  { policy, maxFileBytes, now = Date.now }: LfsPlanOptions,
): Promise<PlannedFile[]> {
  const { plannedPacks, plannedFor, plannedRefs } = rights.document;
  // A ref may have moved to a commit that was here before.
  const isSame = plannedFor === policy && plannedRefs === repository.manifest.refs.sha256;
  const isPlanned = new Set(isSame ? plannedPacks : []);
  const fresh = packs.map(({ pack, pointers = [] }) =>
    isPlanned.has(pack.id)
      ? []
      : pointers.filter(({ oid, sizeBytes }) => sizeBytes <= maxFileBytes && rights.find(oid) === undefined),
  );
  const files = new Map<string, number>();
  if (fresh.some((pointers) => pointers.length > 0)) {
    const objects = await repository.openObjects();
    const marks =
      policy === "all"
        ? undefined
        : await asRepositoryDamage(async () => markTipObjects(objects, await repository.readRefs()));
    for (const [packNumber, pointers] of fresh.entries()) {
      if (pointers.length === 0) continue;
      const numbers = objects.packs.numbersOf(packNumber);
      for (const { oid, sizeBytes, indexNumber } of pointers) {
        if (marks?.isSent(numbers[indexNumber] as number) ?? true) files.set(oid, sizeBytes);
      }
    }
  }
  for (const { oid, sizeBytes } of dueRecords(rights, now() / 1000)) files.set(oid, sizeBytes);
  return Array.from(files, ([oid, sizeBytes]) => ({ oid, sizeBytes }));
}

/** How long a job may wait and run before it is taken for lost. */
const PENDING_SECONDS = 24 * 60 * 60;

function pendingRecords(planned: readonly PlannedFile[], rights: LfsRights, nowSeconds: number): LfsRecord[] {
  return planned
    .filter(({ oid }) => (rights.find(oid)?.state ?? LFS_STATE.pending) === LFS_STATE.pending)
    .map(({ oid, sizeBytes }) => ({
      ...{ oid, sizeBytes, state: LFS_STATE.pending, tries: 0 },
      seconds: Math.floor(nowSeconds) + PENDING_SECONDS,
    }));
}

function dueRecords(rights: LfsRights, nowSeconds: number): LfsRecord[] {
  const due: LfsRecord[] = [];
  for (const record of rights.records()) {
    const isDue =
      record.state === LFS_STATE.stored
        ? isConfirmationDue(record, nowSeconds)
        : record.seconds <= nowSeconds;
    if (isDue) due.push(record);
    if (due.length === MAX_DUE) break;
  }
  return due;
}

/** A right ends with the last pointer. Where a pack has no sidecar, that is unknown. */
async function forgetUnpointed(
  stored: StoredLfsRights,
  rights: LfsRights,
  packs: readonly PackPointers[],
  sizes: ReadonlyMap<string, number>,
): Promise<void> {
  if (packs.some(({ pointers }) => pointers === undefined)) return;
  for (const { oid } of rights.records()) {
    if (sizes.has(oid)) continue;
    await stored.rewrite((record) => sizes.has(record.oid));
    return;
  }
}

/**
 * Looks through the pointers of a repository and makes jobs of what is to be copied: the files of branches and tags, or all. A
 * plan that is made again finds what is new since.
 */
import { errorFields } from "../errors.ts";
import type { LfsPointerTable } from "../git/pack/lfs-pointers.ts";
import { markTipObjects } from "../git/walk/tip-objects.ts";
import { WorkSlices } from "../git/work-slices.ts";
import type { Logger } from "../log.ts";
import type { JobQueue } from "../queue/job-queue.ts";
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { asRepositoryDamage } from "../repo/repository-damage.ts";
import { type LfsRights, StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import { readLfsConfigUrl } from "./lfs-config-file.ts";
import { type LfsPlanJob, requestConfirmations, requestCopies, requestFind } from "./lfs-job.ts";
import type { LfsCopyPolicy } from "./lfs-policy.ts";
import { type RepositoryPointers, readRepositoryPointers } from "./repository-pointers.ts";
import { type SurveyedFile, type SurveyedPointers, surveyFiles } from "./survey-files.ts";

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

/** Planned at a time: notes and jobs of so many files are in memory. */
const PLANNED_AT_ONCE = 20_000;

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
  const rights = await stored.readWithoutDamage((error) =>
    log.error("store:damaged", errorFields(error), { DamagedBlobs: 1 }),
  );
  const nowMs = now();
  const survey = await surveyFiles(found, rights, {
    ...options,
    policy,
    nowMs,
    isAsked: job.isAsked ?? false,
  });
  const { pointers, pointerBytes, due } = survey;
  const fresh = await filesOf(survey.fresh, found, policy);
  for (let at = 0; at < fresh.length; at += PLANNED_AT_ONCE)
    await plan(fresh.slice(at, at + PLANNED_AT_ONCE), job, { stored, queue, nowMs });
  await plan(due.again, job, { stored, queue, nowMs });
  await requestConfirmations(queue, job, due.confirmations, `-${job.queuedAt}`);
  const plannedAt = new Date(nowMs).toISOString();
  const unknownPacks = found.packs.filter((known) => known.pointers === undefined);
  const isStillWithout = pointers === 0 && unknownPacks.length === 0 && isWithoutFiles(rights, policy, nowMs);
  if (!isStillWithout)
    await stored.notePlanned({
      ...{ pointers, pointerBytes, plannedFor: policy, plannedAt },
      plannedPacks: found.packs.flatMap((known) => (known.pointers === undefined ? [] : [known.pack.id])),
      plannedRefs: found.repository.manifest.refs.sha256,
      configuredUrl: pointers > 0 ? await configuredUrlOf(found.repository, rights) : undefined,
      duePlannedAt: due.isSurveyed ? plannedAt : rights.document.duePlannedAt,
      unsearchedPacks: unknownPacks.length,
    });
  // A right ends with the last pointer. Where a pack has no sidecar, that is unknown.
  if (unknownPacks.length === 0 && survey.hasUnpointed)
    await dropUnpointed(stored, rights, () => readRepositoryPointers(storage, job.uuid));
  if (unknownPacks.length > 0) await requestFind(queue, job, unknownPacks.at(-1)?.pack.id ?? "");
  const planned = [...fresh, ...due.again, ...due.confirmations];
  const plannedBytes = planned.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const result = { pointers, pointerBytes, plannedFiles: planned.length, plannedBytes };
  if (planned.length > 0) log.info("lfs:planned", { repo: `${job.workspace}/${job.uuid}`, ...result });
  return result;
}

/** A plan is a day old before another one is made without a push. */
const NOTED_EVERY_MS = 12 * 60 * 60 * 1000;

/** @returns Whether the last plan found no pointers, and need not be noted again. */
function isWithoutFiles({ document, tables }: LfsRights, policy: string, nowMs: number): boolean {
  const { plannedFor, plannedAt = "1970-01-01", pointers, unsearchedPacks = 0 } = document;
  const isSame = plannedFor === policy && pointers === 0 && unsearchedPacks === 0;
  return isSame && tables.length === 0 && nowMs - Date.parse(plannedAt) < NOTED_EVERY_MS;
}

interface Planning {
  readonly stored: StoredLfsRights;
  readonly queue: JobQueue;
  readonly nowMs: number;
}

/** How long a job may wait and run before it is taken for lost. */
const PENDING_SECONDS = 24 * 60 * 60;

/** First the record: a job that is lost is planned again when its time has come. */
async function plan(
  files: readonly SurveyedFile[],
  job: LfsPlanJob,
  { stored, queue, nowMs }: Planning,
): Promise<void> {
  const seconds = Math.floor(nowMs / 1000) + PENDING_SECONDS;
  const pending = files.filter(({ state = LFS_STATE.pending }) => state === LFS_STATE.pending);
  await stored.add(
    pending.map(({ oid, sizeBytes }) => ({ oid, sizeBytes, state: LFS_STATE.pending, tries: 0, seconds })),
  );
  await requestCopies(queue, job, files, `-${job.queuedAt}`);
}

/** Of the rights that were read, those that have no pointer now: a push may have come since, and its files may be known already. */
async function dropUnpointed(
  stored: StoredLfsRights,
  rights: LfsRights,
  readPointers: () => Promise<RepositoryPointers | undefined>,
): Promise<void> {
  const current = await readPointers();
  if (current === undefined || current.packs.some(({ pointers }) => pointers === undefined)) return;
  const isPointedNow = isPointed(current);
  await stored.rewrite((record) => isPointedNow(record) || rights.find(record.oid) === undefined);
}

/** @returns Whether a pack has a pointer to it. */
function isPointed({ packs }: RepositoryPointers): (record: LfsRecord) => boolean {
  return ({ oid }) => {
    const bytes = Buffer.from(oid, "hex");
    return packs.some(({ pointers }) => (pointers?.records.find(bytes) ?? -1) >= 0);
  };
}

/** Of files that nothing is known of those that the policy wants. Branches and tags are read only where there are some. */
async function filesOf(
  fresh: SurveyedPointers,
  { repository, packs }: RepositoryPointers,
  policy: LfsCopyPolicy,
): Promise<SurveyedFile[]> {
  if (fresh.count === 0) return [];
  const objects = await repository.openObjects();
  const marks =
    policy === "all"
      ? undefined
      : await asRepositoryDamage(async () => markTipObjects(objects, await repository.readRefs()));
  const numbers = packs.map((_, pack) => (fresh.packs.has(pack) ? objects.packs.numbersOf(pack) : undefined));
  const files: SurveyedFile[] = [];
  const slices = new WorkSlices();
  for (let i = 0, last = ""; i < fresh.count; i++) {
    const { pack, row } = fresh.at(i);
    const table = packs[pack]?.pointers as LfsPointerTable;
    const number = numbers[pack]?.[table.indexNumberAt(row)] as number;
    const oid = table.records.oidAt(row);
    // Those of one oid follow each other.
    if (oid !== last && (marks?.isMarked(number) ?? true)) {
      files.push({ oid, sizeBytes: table.sizeBytesAt(row) });
      last = oid;
    }
    if (slices.isDue(1)) await slices.pause();
  }
  return files;
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

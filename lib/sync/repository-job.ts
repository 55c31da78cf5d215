/**
 * Makes one repository of the mirror what it should be: in step with the primary, found under its present name, or not served
 * any more. A job does not say what to do, it says where to look. So it may be repeated, late or lost.
 */
import type { BitbucketRestApi } from "../bitbucket/rest-api.ts";
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import { errorFields, NotFoundError, RenamedError, UpstreamError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { isMirrored } from "../mirror/selection.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import { nameKey, type RepositoryUuid } from "../repo/layout.ts";
import { maintainRepository } from "../repo/maintain-repository.ts";
import { releaseName, releaseReservedName } from "../repo/name-index.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { type RepositoryRecord, repositoryDocument, type StoredRecord } from "../repo/repository-record.ts";
import { prepareRepository } from "./prepare-repository.ts";
import { askForFacts, type FactsOptions, type FoundFacts, findFacts } from "./repository-facts.ts";
import { retire, withdraw } from "./retire-repository.ts";
import { type SyncAndRecordOptions, syncAndRecord } from "./sync-and-record.ts";
import type { SyncOutcome } from "./sync-repository.ts";

/** The primary, as the account of one workspace sees it. */
export interface PrimaryAccess {
  readonly api: BitbucketRestApi;
  upstreamOf(uuid: RepositoryUuid, place: Pick<RepositoryFacts, "workspace" | "slug">): FoundUpstream;
}

export interface RepositoryJobOptions extends SyncAndRecordOptions {
  /** What a new generation is followed by, within the job's time. */
  readonly onPublished?: (uuid: RepositoryUuid) => Promise<void>;
  /** Whether to compact and tidy after a sync that brought nothing new. By default after those on a schedule. */
  readonly maintains?: (job: RepositoryJob) => boolean;
  readonly storage: RepositoryStorage;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly primaryOf: (workspace: MirroredWorkspace) => Promise<PrimaryAccess>;
  readonly log: Logger;
}

export type JobOutcome =
  | SyncOutcome
  /** The refs were listed since the job was made. */
  | { readonly kind: "current" }
  /** It is not served any more; what is here is kept for some time, or went now. */
  | { readonly kind: "retired" | "purged" }
  /** It is none of the mirror's. */
  | { readonly kind: "ignored" };

/**
 * @throws What `syncRepository` throws; the failure is noted in the repository's record.
 * @throws {UpstreamError} The primary cannot say what became of the repository.
 */
export async function runRepositoryJob(
  job: RepositoryJob,
  options: RepositoryJobOptions,
): Promise<{ readonly outcome: JobOutcome; readonly facts: RepositoryFacts | undefined }> {
  const { storage, log, now = () => new Date() } = options;
  const startedMs = now().getTime();
  const [config, stored] = await Promise.all([
    options.readConfig(),
    repositoryDocument(storage.store, job.uuid).readForChange(),
  ]);
  const found = await run(job, config, stored, { ...options, now });
  const { workspace, slug } = found.facts ?? stored.value ?? { workspace: job.workspace, slug: job.uuid };
  const { kind, ...details } = found.outcome;
  const {
    changes,
    refsSha256: _,
    refsSha256Before: _before,
    ...counts
  } = {
    changes: undefined,
    refsSha256: undefined,
    refsSha256Before: undefined,
    ...details,
  };
  log.info(`sync:${kind}`, {
    repo: `${workspace}/${slug}`,
    reason: job.reason,
    ...counts,
    ...(changes !== undefined && { changedRefs: changes.length }),
    ms: now().getTime() - startedMs,
  });
  if (found.outcome.kind === "published") {
    await prepareRepository(job.uuid, options);
    await options.onPublished?.(job.uuid);
  }
  await maintain(job, found, options);
  return found;
}

async function maintain(
  job: RepositoryJob,
  { outcome, facts }: { readonly outcome: JobOutcome; readonly facts: RepositoryFacts | undefined },
  options: RepositoryJobOptions,
): Promise<void> {
  const { log, signal, onProgress, maintains = ({ reason }) => reason === "check" } = options;
  const isDue = outcome.kind === "published" || (outcome.kind === "unchanged" && maintains(job));
  if (facts === undefined || !isDue) return;
  await maintainRepository(job.uuid, {
    store: options.storage.store,
    log,
    name: `${facts.workspace}/${facts.slug}`,
    signal,
    ...(onProgress && { onProgress: (progress) => onProgress(facts, progress) }),
  });
}

type RunOptions = RepositoryJobOptions & { readonly now: () => Date };

async function run(
  job: RepositoryJob,
  config: MirrorConfig,
  stored: StoredRecord,
  options: RunOptions,
): Promise<{ outcome: JobOutcome; facts: RepositoryFacts | undefined }> {
  const workspace = findWorkspace(config, job.workspace);
  const isKnownHere = stored.value !== undefined && isIn(stored.value, job.workspace);
  if (workspace?.disabled) return { outcome: { kind: "ignored" }, facts: undefined };
  if (workspace === undefined || workspace.removedAt !== undefined) {
    const outcome: JobOutcome = isKnownHere
      ? await retire(job.uuid, stored, undefined, workspace, options)
      : { kind: "ignored" };
    await dropClaimedName(job, options);
    return { outcome, facts: undefined };
  }
  const primary = await options.primaryOf(workspace);
  const facts = { api: primary.api, store: options.storage.store, now: options.now };
  return act(job, config, stored, await findFacts(job, stored.value, facts), options);
}

async function act(
  job: RepositoryJob,
  config: MirrorConfig,
  stored: StoredRecord,
  found: FoundFacts,
  options: RunOptions,
): Promise<{ outcome: JobOutcome; facts: RepositoryFacts | undefined }> {
  const { store } = options.storage;
  // A name that it has lost may be reserved for it, before it had a record.
  if (found.kind === "gone" || !sameName(found.facts, job.facts ?? found.facts))
    await dropClaimedName(job, options);
  if (found.kind === "gone") {
    // Another workspace of this mirror may have it now.
    const isElsewhere = stored.value === undefined || !isIn(stored.value, job.workspace);
    if (isElsewhere) return { outcome: { kind: "ignored" }, facts: undefined };
    const workspace = findWorkspace(config, job.workspace);
    return { outcome: await withdraw(job.uuid, stored, workspace, options), facts: undefined };
  }
  const { facts } = found;
  // Before anything else, and also where it is none of the mirror's.
  if (found.isFromRest) await releaseName(store, job.uuid, facts);
  const workspace = findWorkspace(config, facts.workspace);
  if (workspace === undefined || !isMirrored(config, facts)) {
    await releaseReservedName(store, job.uuid, facts);
    const outcome: JobOutcome =
      stored.value === undefined
        ? { kind: "ignored" }
        : await retire(job.uuid, stored, facts, workspace, options);
    return { outcome, facts };
  }
  const primary = await options.primaryOf(workspace);
  const factsOptions = { api: primary.api, store, now: options.now };
  const upstream = primary.upstreamOf(job.uuid, facts);
  const confirm = (continues: boolean) => confirmName(job, facts, { upstream, continues }, factsOptions);
  const isNameRight = async () => isNamed(facts, await tryForFacts(job, factsOptions, options.log));
  try {
    const outcome = await syncAndRecord(job, stored, facts, upstream, { ...options, confirm, isNameRight });
    return { outcome, facts };
  } catch (error) {
    const isDoubtful = error instanceof RenamedError || (!found.isFromRest && isRefusal(error));
    if (!isDoubtful) throw error;
    return afterRefusal(error, job, config, factsOptions, options);
  }
}

async function dropClaimedName({ uuid, facts }: RepositoryJob, { storage }: RunOptions): Promise<void> {
  if (facts !== undefined) await releaseReservedName(storage.store, uuid, facts);
}

interface Fetched {
  readonly upstream: FoundUpstream;
  /** Whether the new refs have all that the published ones reach. */
  readonly continues: boolean;
}

/**
 * The name may have gone to another repository since it was told, public or not, and what was fetched by name may be that one's.
 * While REST cannot be asked, what was fetched by uuid is right in any case.
 * @throws {RenamedError} @throws {UpstreamError}
 */
async function confirmName(
  job: RepositoryJob,
  { workspace, slug }: RepositoryFacts,
  fetched: Fetched,
  options: FactsOptions,
): Promise<void> {
  let found: FoundFacts;
  try {
    found = await askForFacts({ workspace, uuid: job.uuid }, options);
  } catch (error) {
    if (error instanceof UpstreamError && (await isTrusted(error, job, fetched, options))) return;
    throw error;
  }
  if (!isNamed({ workspace, slug }, found))
    throw new RenamedError("the name means another repository by now", { workspace, slug });
}

/**
 * On the name's word alone only what continues the published history is taken, and nothing once git has found the repository
 * by its uuid: a refusal there then says that it is gone, and the name another's.
 */
async function isTrusted(
  restFailure: UpstreamError,
  { uuid }: RepositoryJob,
  { upstream, continues }: Fetched,
  { store }: FactsOptions,
): Promise<boolean> {
  if (upstream.foundBy === "uuid") return true;
  if (!continues || !restFailure.retryable) return false;
  const { value: record } = await repositoryDocument(store, uuid).readForChange();
  return record?.hasUuidPath !== true;
}

function isNamed(name: Pick<RepositoryFacts, "workspace" | "slug">, found: FoundFacts | undefined): boolean {
  return found?.kind === "there" && sameName(found.facts, name);
}

function sameName(a: Pick<RepositoryFacts, "workspace" | "slug">, b: typeof a): boolean {
  return nameKey(a.workspace, a.slug) === nameKey(b.workspace, b.slug);
}

/** Git does not let us in under the name that we know, or leads to another repository: ours may have another name, or be gone. */
async function afterRefusal(
  refusal: unknown,
  job: RepositoryJob,
  config: MirrorConfig,
  factsOptions: FactsOptions,
  options: RunOptions,
): Promise<{ outcome: JobOutcome; facts: RepositoryFacts | undefined }> {
  const found = await tryForFacts(job, factsOptions, options.log);
  if (found === undefined) throw refusal;
  const stored = await repositoryDocument(options.storage.store, job.uuid).readForChange();
  return act(job, config, stored, found, options);
}

/** The job does not fail with why REST could not tell: that is for the log. */
async function tryForFacts(
  job: RepositoryJob,
  factsOptions: FactsOptions,
  log: Logger,
): Promise<FoundFacts | undefined> {
  return askForFacts(job, factsOptions).catch((error: unknown) => {
    log.info("sync:facts-unknown", { uuid: job.uuid, ...errorFields(error) });
    return undefined;
  });
}

function isRefusal(error: unknown): boolean {
  if (error instanceof NotFoundError) return true;
  return error instanceof UpstreamError && [401, 403].includes(Number(error.context["status"]));
}

function isIn({ workspace }: RepositoryRecord, name: string): boolean {
  return workspace.toLowerCase() === name.toLowerCase();
}

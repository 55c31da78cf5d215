/** One repository to bring up to date, as a message says it, and how that is done. */
import { z } from "zod";
import type { BitbucketRepository, BitbucketRestApi } from "../bitbucket/rest-api.ts";
import type { UpstreamGit } from "../bitbucket/upstream-git.ts";
import { ProtocolError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { maintainRepository } from "../repo/maintain-repository.ts";
import { isNameSegment } from "../repo/names.ts";
import type { RepositoryStorage } from "../repo/repository.ts";
import { deleteUpstreamRecord, writeUpstreamRecord } from "../repo/upstream-record.ts";
import { syncRepository } from "./sync-repository.ts";

const name = z.string().refine(isNameSegment);

const syncJobSchema = z.object({
  workspace: name,
  slug: name,
  /** Finds the repository also when it has been renamed since. */
  uuid: z.guid().optional(),
  /** Also if nothing is new: compact the repository and remove what is left over, if that is due. */
  maintain: z.boolean().optional(),
});

type RecordedRepository = Pick<
  BitbucketRepository,
  "uuid" | "fullName" | "workspace" | "slug" | "projectKey" | "isPrivate"
>;

export type SyncJob = z.infer<typeof syncJobSchema>;

export interface SyncJobOptions {
  readonly api: BitbucketRestApi;
  readonly upstreamOf: (repository: BitbucketRepository) => UpstreamGit;
  readonly storage: RepositoryStorage;
  readonly log: Logger;
  /** What a new generation is followed by, within the job's time. */
  readonly onPublished?: (uuid: RepositoryUuid) => Promise<void>;
  /** Whether what everyone may read at the primary is mirrored. */
  readonly publicRepositories: "mirror" | "skip";
  /** Stops the sync. */
  readonly signal?: AbortSignal;
}

/** @throws {ProtocolError} Not the JSON of a job. */
export function parseSyncJob(text: string): SyncJob {
  try {
    return syncJobSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new ProtocolError("not a sync job", { text: text.slice(0, 200), cause: error });
  }
}

/** @throws As `syncRepository` does, and {NotFoundError} when the account does not see the repository. */
export async function runSyncJob(job: SyncJob, options: SyncJobOptions): Promise<void> {
  const { workspace, slug, uuid, maintain } = job;
  const { api, upstreamOf, storage, log, publicRepositories, onPublished, signal } = options;
  const startedMs = Date.now();
  const repository = await api.repository(workspace, uuid === undefined ? slug : `{${uuid}}`);
  if (!repository.isPrivate && publicRepositories === "skip") {
    // It may have been private before.
    await deleteUpstreamRecord(storage.store, repository.uuid);
    log.info("sync:skipped", { repo: repository.fullName, reason: "everyone may read it" });
    return;
  }
  const outcome = await syncRepository(repository.uuid, {
    storage,
    upstream: upstreamOf(repository),
    log,
    ...(signal && { signal }),
  });
  // Only now: until the first generation is published, nothing is served under the name.
  await recordUpstream(storage, repository, log);
  if (outcome.kind === "published") await onPublished?.(repository.uuid);
  const { kind, generation } = outcome;
  const counts =
    outcome.kind === "published"
      ? {
          changedRefs: outcome.changes.length,
          receivedBytes: outcome.receivedBytes,
          objects: outcome.objects,
        }
      : {};
  log.info(`sync:${kind}`, { repo: repository.fullName, generation, ...counts, ms: Date.now() - startedMs });
  if (kind === "published" || maintain === true) {
    const { store } = storage;
    await maintainRepository(repository.uuid, { store, log, name: repository.fullName, signal });
  }
  if (kind === "published") await onPublished?.(repository.uuid);
}

/** Also tells the log when the name by project belongs to another repository. */
export async function recordUpstream(
  { store }: RepositoryStorage,
  { uuid, fullName, workspace, slug, projectKey, isPrivate }: RecordedRepository,
  log: Logger,
): Promise<void> {
  const record = { workspace, slug, projectKey, isPrivate };
  const { isProjectNameTaken } = await writeUpstreamRecord(store, uuid, record);
  if (isProjectNameTaken) log.warn("sync:project-name-taken", { repo: fullName, projectKey });
}

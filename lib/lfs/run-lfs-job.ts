/** Does one job of the LFS queue, as far as the configuration still wants it. */
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { isMirrored } from "../mirror/selection.ts";
import type { JobQueue } from "../queue/job-queue.ts";
import { type RepositoryRecord, repositoryDocument } from "../repo/repository-record.ts";
import { copyFiles, type LfsCopyOptions } from "./copy-files.ts";
import { type FindPointersOptions, findPointers } from "./find-pointers.ts";
import { type LfsJob, type LfsRepositoryJob, requestPlan, requestSweep } from "./lfs-job.ts";
import { copyPolicyOf, type LfsPolicy } from "./lfs-policy.ts";
import { planCopies } from "./plan-copies.ts";
import type { LfsPrimary } from "./ports.ts";
import { isSweepDue, sweepFiles } from "./sweep-files.ts";

export interface LfsJobOptions
  extends Pick<LfsCopyOptions, "storage" | "transfers" | "log" | "signal" | "now">,
    FindPointersOptions {
  readonly queue: JobQueue;
  readonly readConfig: () => Promise<MirrorConfig>;
  /** The files of one repository at the primary, as the workspace's account sees them. */
  readonly lfsOf: (workspace: MirroredWorkspace, repository: LfsRepositoryName) => Promise<LfsPrimary>;
  readonly policy: LfsPolicy;
  readonly onProgress?: (fullName: string, progress: LfsProgress) => void;
}

export interface LfsRepositoryName extends Pick<RepositoryRecord, "workspace" | "slug" | "foundBy"> {
  readonly uuid: string;
}

/** What was added since the last call. */
export interface LfsProgress {
  readonly files: number;
  readonly bytes: number;
}

/** Nothing is done for a repository that is not mirrored. Errors as in `planCopies` and `copyFiles`. */
export async function runLfsJob(job: LfsJob, options: LfsJobOptions): Promise<void> {
  if (job.kind === "sweep") await sweepFiles({ ...options, store: options.storage.store });
  else await runForRepository(job, options);
}

async function runForRepository(job: LfsRepositoryJob, options: LfsJobOptions): Promise<void> {
  const { readConfig, lfsOf, policy, onProgress, ...common } = options;
  const { storage } = common;
  const [config, { value: record }] = await Promise.all([
    readConfig(),
    repositoryDocument(storage.store, job.uuid).read(),
  ]);
  const workspace = findWorkspace(config, record?.workspace ?? job.workspace);
  if (record === undefined || workspace === undefined || !isMirrored(config, record)) return;
  const fullName = `${record.workspace}/${record.slug}`;
  const copies = copyPolicyOf(policy, fullName);
  if (copies === "none") return;
  if (job.kind === "plan") {
    await planCopies(job, { ...common, policy: copies, maxFileBytes: policy.maxFileBytes });
    if (await isSweepDue(storage.store, (options.now ?? Date.now)())) await requestSweep(options.queue);
    return;
  }
  if (job.kind === "find") {
    if ((await findPointers(job, options)) > 0)
      await requestPlan(options.queue, job, `found-${job.queuedAt}`);
    return;
  }
  await copyFiles(job, {
    ...common,
    maxFileBytes: policy.maxFileBytes,
    primary: await lfsOf(workspace, { ...record, uuid: job.uuid }),
    ...(onProgress && { onProgress: (progress) => onProgress(fullName, progress) }),
  });
}

/** Syncs of a primary's repository into a store, and the LFS jobs of it, one after the other, as its queue would have them. */
import { lfsClient } from "../../../lib/bitbucket/lfs-client.ts";
import { copyFiles, type LfsCopyOptions } from "../../../lib/lfs/copy-files.ts";
import { findPointers } from "../../../lib/lfs/find-pointers.ts";
import { parseLfsJob, requestPlan } from "../../../lib/lfs/lfs-job.ts";
import type { LfsCopyPolicy } from "../../../lib/lfs/lfs-policy.ts";
import { planCopies } from "../../../lib/lfs/plan-copies.ts";
import { TransferQueue } from "../../../lib/lfs/transfer-queue.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import type { JobQueue, QueueMessage } from "../../../lib/queue/job-queue.ts";
import { LFS_FILE_FOLDER } from "../../../lib/repo/layout.ts";
import type { LfsRecord } from "../../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../../lib/repo/stored-lfs-rights.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import type { Primary } from "../primary.ts";
import { keysOf, RIG_UUID, type SyncRig, syncRig } from "../sync-rig.ts";
import { addLfsFile } from "./add-file.ts";

const REPOSITORY = { workspace: "acme", uuid: RIG_UUID };

export interface CopierRig {
  readonly sync: SyncRig;
  readonly rights: StoredLfsRights;
  /** What waits in the queue. */
  readonly messages: QueueMessage[];
  /** Adds a commit with a pointer at the primary, and its file unless it is to be missing. @returns The oid. */
  addFile(path: string, content: Uint8Array, options?: { readonly isMissing?: boolean }): Promise<string>;
  /** Syncs, plans, and does the jobs. @throws What the first one throws; it stays in the queue. */
  run(policy?: LfsCopyPolicy): Promise<void>;
  /** Does the jobs that wait. Errors as in `run`. */
  runJobs(policy?: LfsCopyPolicy): Promise<void>;
  record(oid: string): Promise<LfsRecord | undefined>;
  /** Of the files in the store. */
  storedOids(): Promise<string[]>;
}

export function copierRig(
  primary: Primary,
  store: BlobStore,
  options: Partial<Pick<LfsCopyOptions, "maxFileBytes" | "signal" | "staging" | "now">> & {
    /** To the primary's LFS side. */
    readonly fetch?: typeof fetch;
  } = {},
): CopierRig {
  const sync = syncRig(primary, store);
  const messages: QueueMessage[] = [];
  const queue: JobQueue = { send: async (added) => void messages.push(...added) };
  const lfs = lfsClient({
    fetch: options.fetch ?? fetch,
    repositoryUrl: `${primary.fake.gitUrl}/acme/sample.git`,
    agent: "nearside/test",
  });
  const maxFileBytes = options.maxFileBytes ?? Number.POSITIVE_INFINITY;
  const common = {
    storage: sync.storage,
    log: SILENT_LOGGER,
    maxFileBytes,
    ...(options.now && { now: options.now }),
  };
  const rights = new StoredLfsRights(store, RIG_UUID);
  let planCount = 0;
  const runJobs = async (policy: LfsCopyPolicy): Promise<void> => {
    for (let message = messages[0]; message !== undefined; message = messages[0]) {
      const job = parseLfsJob(message.body);
      if (job.kind === "plan") await planCopies(job, { ...common, queue, policy });
      else if (job.kind === "find") {
        if (
          (await findPointers(job, { ...common, signal: options.signal ?? new AbortController().signal })) > 0
        )
          await requestPlan(queue, job, `found-${planCount++}`);
      } else if (job.kind === "copy")
        await copyFiles(job, {
          ...common,
          primary: lfs,
          transfers: new TransferQueue(96 * 2 ** 20, 8),
          staging: options.staging,
          signal: options.signal ?? new AbortController().signal,
        });
      messages.splice(messages.indexOf(message), 1);
    }
  };
  return {
    sync,
    rights,
    messages,
    addFile: (...file) => addLfsFile(primary, ...file),
    async run(policy = "tips") {
      await sync.sync();
      await requestPlan(queue, REPOSITORY, String(planCount++));
      await runJobs(policy);
    },
    runJobs: (policy = "tips") => runJobs(policy),
    record: async (oid) => (await rights.read()).find(oid),
    async storedOids() {
      const keys = await keysOf(store, LFS_FILE_FOLDER);
      return keys.map((key) => key.slice(key.lastIndexOf("/") + 1)).toSorted();
    },
  };
}

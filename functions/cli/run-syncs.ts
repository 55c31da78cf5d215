/** Runs sync jobs in this process, each once: the user sees what fails, and starts them again. */
import type { LfsSettings } from "../../lib/lfs/lfs-policy.ts";
import type { LfsProgress } from "../../lib/lfs/run-lfs-job.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { startLfs } from "../local/local-lfs.ts";
import { temporaryFolderIn } from "../local/open-store.ts";
import type { ProgressLine } from "../local/progress-line.ts";
import { describePublished } from "../local/ready-message.ts";
import { startWorker } from "../local/worker.ts";
import { lfsPlans } from "../wiring/lfs-work.ts";
import { queuedSyncRequests } from "../wiring/sync-requests.ts";
import { bitbucketOf, configOf, logOf, type PrimaryOptions } from "./command-options.ts";

export interface Syncing {
  readonly requests: SyncRequests;
  /** Resolves when all jobs so far have run. */
  done(): Promise<void>;
  doneCount(): number;
  newsCount(): number;
  lfsCopied(): LfsProgress;
}

export function startSyncing(
  store: BlobStore,
  options: PrimaryOptions & LfsSettings,
  line: ProgressLine,
  onFailed: (name: string, error: unknown) => void,
): Syncing {
  const log = logOf(options);
  const context = {
    storage: { store, blocks: new BlockCache(store) },
    readConfig: () => configOf(store),
    bitbucket: bitbucketOf(options),
    temporaryFolder: temporaryFolderIn(options.store),
    ...{ line, log },
  };
  const lfs = startLfs(context, { settings: options, onFailed });
  let doneCount = 0;
  let newsCount = 0;
  const queue = startWorker(context, {
    planLfs: lfsPlans(store, lfs.queue, log, true),
    onDone: (name, outcome) => {
      doneCount += 1;
      if (outcome.kind === "unchanged" || outcome.kind === "current" || outcome.kind === "ignored") return;
      if (outcome.kind === "unseen") {
        line.print(
          `${name}: Bitbucket does not show it to the account. It is served until a list confirms that.`,
        );
        return;
      }
      newsCount += 1;
      line.print(`${name}: ${outcome.kind === "published" ? describePublished(outcome) : outcome.kind}`);
    },
    onFailed,
    // Only jobs for repositories are sent here.
    reconcile: async () => undefined,
  });
  return {
    requests: queuedSyncRequests(queue),
    async done() {
      await queue.idle();
      await queue.close();
      await lfs.queue.idle();
      await lfs.queue.close();
    },
    doneCount: () => doneCount,
    newsCount: () => newsCount,
    lfsCopied: () => lfs.copied(),
  };
}

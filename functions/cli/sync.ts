/** `nearside sync` */
import type { Command } from "commander";
import { ConfigError, NotFoundError } from "../../lib/errors.ts";
import type { LfsSettings } from "../../lib/lfs/lfs-policy.ts";
import type { LfsProgress } from "../../lib/lfs/run-lfs-job.ts";
import { connectedWorkspace } from "../../lib/mirror/change-workspaces.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { type RepositoryStatus, readMirrorStatus } from "../../lib/mirror/mirror-status.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { reconcileMirror } from "../../lib/reconcile/reconcile-mirror.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { temporaryFolderIn } from "../local/open-store.ts";
import { formatBytes, ProgressLine } from "../local/progress-line.ts";
import { startLfs, startWorker } from "../local/queues.ts";
import { describePublished } from "../local/ready-message.ts";
import { lfsPlans } from "../wiring/lfs-work.ts";
import { queuedSyncRequests } from "../wiring/sync-requests.ts";
import {
  bitbucketOf,
  configOf,
  logOf,
  type PrimaryOptions,
  parseUrlArgument,
  primaryOptions,
  print,
  sqsOf,
  storeOf,
} from "./command-options.ts";
import { explain, Findings } from "./explain.ts";
import { fullName, namedRepositories } from "./named-repositories.ts";
import { printJson } from "./print-json.ts";
import { counted } from "./table.ts";

interface SyncOptions extends PrimaryOptions, LfsSettings {
  readonly queueUrl?: string;
  readonly json?: true;
}

const EXPLANATION = `
A workspace is listed anew, and each of its repositories compared by git; a single repository is only compared itself. Without --queue-url this process does the work, also for a bucket, and ends when it is done. With it, the jobs
are queued for a deployed mirror, and this ends at once: see nearside status for the progress.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, but for the repositories and workspaces that it names.`;

export function configure(command: Command): void {
  primaryOptions(command, ["lfs", "lfsMaxFileMib", "lfsRepositories"])
    .option("--json", "print JSON: how many repositories, how many of them with news, LFS files, what failed")
    .argument("[names...]", "workspace or workspace/repository; all unless given")
    .option(
      "--queue-url <url>",
      "SyncQueueUrl of a deployed mirror, which then does the work",
      parseUrlArgument,
    )
    .addHelpText("after", EXPLANATION)
    .action(sync);
}

async function sync(names: readonly string[], options: SyncOptions): Promise<void> {
  const store = storeOf(options);
  const config = await configOf(store);
  if (config.workspaces.length === 0)
    throw new ConfigError("no workspace is connected: begin with nearside connect", { lacks: "workspace" });
  const repositories = names.filter((name) => name.includes("/"));
  const workspaces = names.filter((name) => !name.includes("/"));
  for (const name of workspaces) connectedWorkspace(config, name);
  const line = new ProgressLine(process.stderr);
  const failures: string[] = [];
  const nameOf = new Map<string, string>();
  const fail = (id: string, error: unknown) => {
    // A job without facts names its repository by its uuid.
    const name = nameOf.get(id) ?? id;
    failures.push(name);
    line.print(`${name}: ${explain(error)}`);
  };
  const syncing = options.queueUrl === undefined ? startSyncing(store, options, line, fail) : undefined;
  const requests = syncing?.requests ?? deployed(options.queueUrl ?? "");
  if (repositories.length > 0) {
    const found = await namedRepositories(store, config, repositories);
    for (const one of found) nameOf.set(one.uuid, fullName(one));
    await requestRepositories(found, requests);
  }
  if (repositories.length === 0 || workspaces.length > 0) {
    const only = onlyThese(config, workspaces);
    await requestWorkspaces(only, store, requests, options, fail);
  }
  await finish(syncing, failures, store, options);
}

async function finish(
  syncing: Syncing | undefined,
  failures: readonly string[],
  store: BlobStore,
  { json }: SyncOptions,
): Promise<void> {
  const counts = await syncing?.done();
  const failed = [...new Set(failures)];
  if (json) printJson("sync", { ...counts, failed }, true);
  else if (counts === undefined) print("The jobs are queued. Progress:\n  nearside status --watch");
  else print(describe(counts));
  if (failed.length === 0) return;
  if (!json) print(await describeFailed(failed, store));
  throw new Findings();
}

/** With what clients get of them. */
async function describeFailed(failed: readonly string[], store: BlobStore): Promise<string> {
  const wanted = new Set(failed.map((name) => name.toLowerCase()));
  const found = (await readMirrorStatus(store, await configOf(store)))
    .flatMap(({ repositories }) => repositories)
    .filter((one) => wanted.has(fullName(one).toLowerCase()));
  const { length: servedCount } = found.filter(isServed);
  const notServed = found.length - servedCount;
  const words = [
    servedCount === 0
      ? []
      : `${counted(servedCount, "repository", "repositories")} served as of the last sync`,
    notServed === 0 ? [] : `${counted(notServed, "repository", "repositories")} not served`,
  ].flat();
  const clients = words.length === 0 ? "" : ` To clients: ${words.join(", ")}.`;
  return `Failed: ${failed.join(", ")}.${clients}\n  See nearside status --failed`;
}

function isServed({ published, isSelected, noAccess }: RepositoryStatus): boolean {
  return published !== undefined && isSelected && noAccess?.isServed !== false;
}

function describe({ repositories, changedRepositories, lfs: { files, bytes } }: SyncCounts): string {
  const lfs = files === 0 ? "" : ` ${counted(files, "LFS file")} copied, ${formatBytes(bytes)}.`;
  return `In step: ${counted(repositories, "repository", "repositories")}, ${changedRepositories} of them with news.${lfs}`;
}

interface SyncCounts {
  readonly repositories: number;
  readonly changedRepositories: number;
  readonly lfs: LfsProgress;
}

interface Syncing {
  readonly requests: SyncRequests;
  /** Resolves when all jobs so far have run. */
  done(): Promise<SyncCounts>;
}

const UNSERVED = {
  retired: "no longer served; nearside status says why",
  purged: "no longer served, and its data is deleted",
  unsupported: "not mirrored, see nearside status --failed",
} as const;

const UNSEEN =
  "the mirror's account cannot see it at Bitbucket: it lacks the right to read it, or the repository was deleted. See nearside status --failed";

/** Runs jobs in this process, each once: the user sees what fails, and starts them again. */
function startSyncing(
  store: BlobStore,
  options: SyncOptions,
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
  const counts = { repositories: 0, changedRepositories: 0 };
  const queue = startWorker(context, {
    planLfs: lfsPlans(store, lfs.queue, log, true),
    onDone: (name, outcome) => {
      line.finish();
      if (outcome.kind === "unseen") {
        onFailed(name, new NotFoundError(UNSEEN));
        return;
      }
      counts.repositories += 1;
      if (outcome.kind === "unchanged" || outcome.kind === "current" || outcome.kind === "ignored") return;
      counts.changedRepositories += 1;
      line.print(
        `${name}: ${outcome.kind === "published" ? describePublished(outcome) : UNSERVED[outcome.kind]}`,
      );
    },
    onFailed(name, error) {
      line.finish();
      onFailed(name, error);
    },
    // Only jobs for repositories are sent here.
    reconcile: async () => undefined,
  });
  const requests = queuedSyncRequests(queue);
  return {
    requests: {
      async request(jobs) {
        line.expect(jobs.length);
        await requests.request(jobs);
      },
    },
    async done() {
      for (const one of [queue, lfs.queue]) {
        await one.idle();
        await one.close();
      }
      return { ...counts, lfs: lfs.copied() };
    },
  };
}

async function requestRepositories(
  found: readonly RepositoryStatus[],
  requests: SyncRequests,
): Promise<void> {
  const queuedAt = new Date().toISOString();
  await requests.request(
    found.map(({ workspace, uuid }) => ({
      job: { kind: "repository", workspace, uuid, reason: "asked", queuedAt },
      eventId: `asked-${uuid}-${queuedAt}`,
    })),
  );
}

async function requestWorkspaces(
  config: MirrorConfig,
  store: BlobStore,
  requests: SyncRequests,
  options: SyncOptions,
  fail: (name: string, error: unknown) => void,
): Promise<void> {
  const reports = await reconcileMirror({
    store,
    requests,
    readConfig: async () => config,
    apiOf: bitbucketOf(options).apiOf,
    log: logOf(options),
    mode: "full",
  });
  for (const { workspace, failure } of reports) if (failure !== undefined) fail(workspace, failure);
}

function deployed(queueUrl: string): SyncRequests {
  return queuedSyncRequests(new SqsJobQueue(sqsOf(queueUrl), queueUrl));
}

/** Without removed ones: the mirror's own rounds delete their webhooks, then their data. */
function onlyThese(config: MirrorConfig, names: readonly string[]): MirrorConfig {
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  const isWanted = (name: string) => wanted.size === 0 || wanted.has(name.toLowerCase());
  return {
    ...config,
    workspaces: config.workspaces.filter(
      ({ workspace, removedAt }) => removedAt === undefined && isWanted(workspace),
    ),
  };
}

/** `nearside sync` */
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import type { LfsSettings } from "../../lib/lfs/lfs-policy.ts";
import { connectedWorkspace } from "../../lib/mirror/change-workspaces.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryStatus } from "../../lib/mirror/mirror-status.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { reconcileMirror } from "../../lib/reconcile/reconcile-mirror.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { formatBytes, ProgressLine } from "../local/progress-line.ts";
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
import { type Syncing, startSyncing } from "./run-syncs.ts";
import { counted } from "./table.ts";

interface SyncOptions extends PrimaryOptions, LfsSettings {
  readonly queueUrl?: string;
  readonly json?: true;
}

const EXPLANATION = `
A workspace is listed anew, and each of its repositories compared by git; a single repository is only compared itself. Without --queue-url this process does the work, also for a bucket, and ends when it is done. With it, the jobs
are queued for a deployed mirror, and this ends at once: see nearside status for the progress.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, but for the repositories and workspaces that it names.`;

export function syncCommand(command: Command): void {
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
    throw new ConfigError("no workspace is connected: begin with nearside connect");
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
  await finish(syncing, failures, options);
}

async function finish(
  syncing: Syncing | undefined,
  failures: readonly string[],
  { json }: SyncOptions,
): Promise<void> {
  await syncing?.done();
  const failed = [...new Set(failures)];
  if (json) print(JSON.stringify({ ...(syncing && countsOf(syncing)), failed }));
  else if (syncing === undefined) print("The jobs are queued. Progress:\n  npx nearside status --watch");
  else print(describe(syncing));
  if (failed.length === 0) return;
  if (!json) print(`Failed: ${failed.join(", ")}. Their last good state is still served.`);
  throw new Findings();
}

function countsOf(syncing: Syncing) {
  return {
    repositories: syncing.doneCount(),
    changedRepositories: syncing.newsCount(),
    lfs: syncing.lfsCopied(),
  };
}

function describe(syncing: Syncing): string {
  const { files, bytes } = syncing.lfsCopied();
  const lfs = files === 0 ? "" : ` ${counted(files, "LFS file")} copied, ${formatBytes(bytes)}.`;
  return `In step: ${counted(syncing.doneCount(), "repository", "repositories")}, ${syncing.newsCount()} of them with news.${lfs}`;
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

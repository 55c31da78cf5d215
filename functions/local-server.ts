/** The whole mirror in one process, over a folder or a bucket: `npm start`. Not deployed. */
import { pino } from "pino";
import { gitCredential, restCredential } from "../lib/bitbucket/credential.ts";
import { bitbucketRestApi } from "../lib/bitbucket/rest-api.ts";
import { upstreamGit } from "../lib/bitbucket/upstream-git.ts";
import { tryRefreshBundles } from "../lib/bundles/refresh-bundles.ts";
import { AGENT } from "../lib/config.ts";
import { ConfigError, MirrorError } from "../lib/errors.ts";
import type { NodeServer } from "../lib/http/node-server.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { maintainRepository } from "../lib/repo/maintain-repository.ts";
import { readName } from "../lib/repo/names.ts";
import type { RepositoryCatalog } from "../lib/repo/repository-catalog.ts";
import { poll } from "../lib/sync/poller.ts";
import { RepositorySelector, type SelectedRepository } from "../lib/sync/selection.ts";
import { type PublishedOutcome, syncRepository } from "../lib/sync/sync-repository.ts";
import { readAccount } from "./local/account.ts";
import { type Arguments, parseArguments } from "./local/arguments.ts";
import { DEMO_WORKSPACE, startDemoPrimary } from "./local/demo.ts";
import { noteUpstream, withoutUnwanted } from "./local/mirrored-repositories.ts";
import { openStore, temporaryFolderIn } from "./local/open-store.ts";
import { formatBytes, ProgressLine } from "./local/progress-line.ts";
import { serveMirror, storageOver } from "./local/serve-mirror.ts";

const DEMO_FOLDER = ".nearside/primary";
const DEMO_POLL_SECONDS = 2;

async function main(given: Arguments, stop: AbortSignal): Promise<void> {
  const isDemo = given.workspace.length + given.project.length + given.repository.length === 0;
  const demo = isDemo ? await startDemoPrimary(DEMO_FOLDER) : undefined;
  const options =
    demo === undefined
      ? given
      : { ...given, ...demo, workspace: [DEMO_WORKSPACE], pollSeconds: DEMO_POLL_SECONDS };
  const log = pinoLogger(options.verbose ? "debug" : "error", pino.destination({ fd: 2, sync: true }));
  const account = demo === undefined ? readAccount(process.env) : ({ kind: "none" } as const);
  const store = openStore(options.store, options.s3Endpoint);
  const storage = storageOver(store, log);
  const { server, catalog } = await serveMirror(storage, options, log);
  const api = bitbucketRestApi({
    fetch: fetchUntil(stop),
    apiUrl: options.apiUrl,
    credential: restCredential(account),
  });
  const line = new ProgressLine(process.stderr);
  const mirrored = new Map<string, SelectedRepository>();
  const sync = async (repository: SelectedRepository) => {
    const { fullName, uuid } = repository;
    const onProgress = line.showing(fullName);
    const repositoryUrl = `${options.gitUrl}/${fullName}.git`;
    const credential = gitCredential(account);
    const upstream = upstreamGit({ repositoryUrl, credential, agent: AGENT, fetch, signal: stop });
    const outcome = await syncRepository(uuid, {
      storage,
      upstream,
      log,
      onProgress,
      signal: stop,
      temporaryFolder: temporaryFolderIn(options.store),
      checkStore: !mirrored.has(uuid),
    });
    await noteUpstream(storage, repository, mirrored.get(uuid), log);
    if (outcome.kind === "published" || !mirrored.has(uuid)) {
      await maintainRepository(uuid, { store, log, name: fullName, signal: stop, onProgress });
    }
    mirrored.set(uuid, repository);
    if (outcome.kind === "published") await tryRefreshBundles(uuid, { storage, log, signal: stop });
    return outcome;
  };
  const selector = new RepositorySelector({
    api,
    selection: options,
    mirroredUuid: async (workspace, slug) => (await readName(store, workspace, slug))?.uuid,
  });
  await poll(
    {
      selected: () => withoutUnwanted(selector.select(), store, options),
      sync,
      onSynced: ({ fullName }, outcome) => {
        if (outcome.kind === "published") line.print(`${fullName}: ${describePublished(outcome)}`);
      },
      onFailed: (name, error) => line.print(`${name}: ${describeError(error)}`),
      log,
      intervalMs: options.pollSeconds * 1000,
      signal: stop,
    },
    async () => {
      const names = new Set([...mirrored.values()].map(({ fullName }) => fullName));
      // What an earlier run has mirrored is served, also while the primary is away.
      for (const name of options.repository) if (await isServed(catalog, name)) names.add(name);
      announce(server, [...names], options, demo?.gitUrl);
    },
  );
  line.print("Stopping: requests that run may finish.");
  await Promise.all([server.close(), demo?.close()]);
}

async function isServed(catalog: RepositoryCatalog, fullName: string): Promise<boolean> {
  const [workspace = "", slug = ""] = fullName.split("/");
  return (await catalog.resolve(workspace, slug)) !== undefined;
}

function fetchUntil(stop: AbortSignal): typeof fetch {
  return (input, init = {}) => {
    const signals = [stop, init.signal].filter((signal) => signal instanceof AbortSignal);
    return fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
}

function announce(
  server: NodeServer,
  fullNames: readonly string[],
  options: Arguments,
  demoGitUrl: string | undefined,
): void {
  const entries = fullNames.map((fullName) => ({ fullName, cloneUrl: `${server.url}/${fullName}.git` }));
  const primary = { gitUrl: options.gitUrl, apiUrl: options.apiUrl };
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ url: server.url, repositories: entries, primary })}\n`);
    return;
  }
  const lines = [
    `The mirror is ready at ${server.url} with ${counted(entries.length, "repository", "repositories")}, asking the primary every ${options.pollSeconds} s.`,
  ];
  for (const { cloneUrl } of entries.slice(0, 10)) lines.push(`  git clone ${cloneUrl}`);
  if (entries.length > 10) lines.push(`  … and ${entries.length - 10} more`);
  if (demoGitUrl !== undefined) {
    const host = demoGitUrl.replace("://", "://developer:developer@");
    lines.push("", "What it mirrors, a small Bitbucket Cloud on this machine; push here and see it arrive:");
    for (const fullName of fullNames) lines.push(`  git clone ${host}/${fullName}.git primary`);
  }
  lines.push("", "Ctrl-C ends it; what is mirrored stays.");
  process.stdout.write(`${lines.join("\n")}\n`);
}

function describePublished(outcome: PublishedOutcome): string {
  const { generation, changes, objects, receivedBytes } = outcome;
  const refs = counted(changes.length, "ref", "refs");
  return `generation ${generation}, ${refs} changed, ${objects} objects, ${formatBytes(receivedBytes)}`;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
  });
}
try {
  await main(parseArguments(process.argv.slice(2)), stopping.signal);
  process.exit(0);
} catch (error) {
  const isPortTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  const hint = isPortTaken ? "; choose another with --port, or --port 0 for a free one" : "";
  const text =
    error instanceof MirrorError || isPortTaken
      ? describeError(error)
      : String((error as Error).stack ?? error);
  process.stderr.write(`nearside: ${text}${hint}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

/** The whole local mirror in this process, over memory, beside a fake Bitbucket whose repositories come and go. */
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import {
  type LocalMirror,
  type LocalMirrorOptions,
  localMirror,
} from "../../functions/local/local-mirror.ts";
import { MetricHistory } from "../../functions/local/metric-history.ts";
import { ProgressLine } from "../../functions/local/progress-line.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { changeMirrorConfig, configReader } from "../../lib/mirror/config-store.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readName } from "../../lib/repo/names.ts";
import { type RepositoryRecord, repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { type FakeBitbucket, startFakeBitbucket } from "./fake-bitbucket/fake-bitbucket.ts";
import { git } from "./git/run-git.ts";
import { temporaryFolder } from "./git/temporary-folder.ts";
import { listRefs } from "./primary.ts";
import { parseServerArguments } from "./server-arguments.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export interface LocalMirrorRig {
  readonly fake: FakeBitbucket;
  readonly store: BlobStore;
  readonly mirror: LocalMirror;
  readonly server: NodeServer;
  /** The bare repository behind `workspace/slug`. */
  primary(name: string): string;
  /** Makes a small repository at the primary, which sends its event. */
  create(workspace: string, slug: string, project: string): Promise<void>;
  /** Moves a branch at the primary, without telling. @returns The new commit. */
  commit(workspace: string, slug: string): Promise<string>;
  select(...workspaces: MirroredWorkspaceInput[]): Promise<void>;
  /** Resolves when all webhooks are delivered and all jobs are done. */
  settled(): Promise<void>;
  isServed(name: string): Promise<boolean>;
  /** Whether a name is served, and then whether with the refs that `primary` has. */
  serves(name: string, primary?: string): Promise<"equal" | "different" | "not served">;
  state(name: string): Promise<RepositoryRecord | undefined>;
  close(): Promise<void>;
}

/** @param options - Of the mirror, in place of the rig's. */
export async function startLocalMirrorRig(
  options: Partial<LocalMirrorOptions> = {},
): Promise<LocalMirrorRig> {
  const { path: folder, remove } = await temporaryFolder();
  const root = join(folder, "primary");
  const template = join(folder, "template.git");
  await mkdir(root, { recursive: true });
  await makeTiny(template);
  const fake = await startFakeBitbucket({ repositoriesFolder: root });
  const store = options.store ?? new MemoryBlobStore();
  const stop = new AbortController();
  const settings = parseServerArguments([
    "--api-url",
    fake.apiUrl,
    "--git-url",
    fake.gitUrl,
    "--poll-seconds",
    "86400",
  ]);
  let serverUrl = "";
  const mirror = await localMirror({
    settings: { ...settings, store: join(folder, "local"), anonymousPerMinute: 0 },
    store,
    readConfig: configReader(store),
    history: () => new MetricHistory().read(),
    accountOf: async () => DEMO_ACCOUNT,
    serverUrl: () => serverUrl,
    webhookSecret: "rig-secret",
    line: new ProgressLine({ write: () => undefined }),
    log: SILENT_LOGGER,
    stop: stop.signal,
    ...options,
  });
  const server: NodeServer = await startNodeServer(mirror.handler, { log: SILENT_LOGGER });
  serverUrl = server.url;
  let following: Promise<void> | undefined;
  const isServed = async (name: string) => {
    const answer = await fetch(`${server.url}/${name}.git/info/refs?service=git-upload-pack`, {
      redirect: "manual",
    });
    await answer.arrayBuffer();
    return answer.ok;
  };
  const bare = (name: string) => join(root, `${name}.git`);
  return {
    fake,
    store,
    mirror,
    server,
    primary: bare,
    create: (workspace, slug, project) =>
      fake.lifecycle.create({ workspace, slug }, { public: true, project }, (target) =>
        cp(template, target, { recursive: true }),
      ),
    async commit(workspace, slug) {
      const cwd = bare(`${workspace}/${slug}`);
      const id = await git(["commit-tree", "main^{tree}", "-p", "main", "-m", `${Math.random()}`], { cwd });
      await git(["update-ref", "refs/heads/main", id], { cwd });
      return id;
    },
    async select(...workspaces) {
      await changeMirrorConfig(store, () => mirrorConfigOf(workspaces));
      if (following !== undefined) return;
      await new Promise<void>((resolve, reject) => {
        following = mirror.follow(server.url, async () => resolve());
        following.catch(reject);
      });
    },
    async settled() {
      await fake.controls.settled();
      await mirror.drained();
    },
    isServed,
    async serves(name, primary = name) {
      if (!(await isServed(name))) return "not served";
      const same = (await listRefs(`${server.url}/${name}.git`)) === (await listRefs(bare(primary)));
      return same ? "equal" : "different";
    },
    async state(name) {
      const [workspace = "", slug = ""] = name.split("/");
      const entry = await readName(store, workspace, slug);
      return entry && (await repositoryDocument(store, entry.uuid).read()).value;
    },
    async close() {
      stop.abort();
      await following;
      await server.close();
      await fake.close();
      await remove();
    },
  };
}

async function makeTiny(folder: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", folder]);
  const input = `commit refs/heads/main
committer Carl Committer <carl@example.com> 1800000000 +0000
data 5
first
M 100644 inline file
data 7
content
`;
  await git(["fast-import", "--quiet"], { cwd: folder, input });
}

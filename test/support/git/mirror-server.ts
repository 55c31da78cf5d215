/** A store in memory served over HTTP, with real git's test repositories beside it. */
import { join } from "node:path";
import { expect } from "vitest";
import { blobHttp } from "../../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../../lib/blob-http/signed-blob-urls.ts";
import { type GitHttpOptions, gitHttp } from "../../../lib/git-http/git-http.ts";
import { startNodeServer } from "../../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { MemoryBlobStore } from "../../../lib/store/memory-blob-store.ts";
import { OPEN_ACCESS } from "../open-access.ts";
import { MirrorBuilder } from "./mirror-builder.ts";
import { git, tryGit } from "./run-git.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** Deltas by offset, and everything that the refs reach. */
export const OFS_ALL = ["--delta-base-offset", "--all"];

export interface MirrorServer {
  readonly url: string;
  /** The address of repository `acme/<slug>`. */
  urlOf(slug: string): string;
  /** A path in a folder of this server's, not in use. */
  newPath(): string;
  mirrorOf(source: string): Promise<MirrorBuilder>;
  /** What was logged as an error since the last call. */
  takeFailures(): unknown[];
  /** Method and path of each request since the last call. */
  takeRequests(): string[];
  close(): Promise<void>;
}

export interface MirrorServerOptions {
  /** Hands out packs from this size on; none unless given. */
  readonly minDownloadBytes?: number;
  /** Whether answers are shared. */
  readonly sharesAnswers?: boolean;
}

export async function startMirrorServer({
  minDownloadBytes,
  sharesAnswers = false,
}: MirrorServerOptions = {}): Promise<MirrorServer> {
  const folder = await temporaryFolder();
  const store = new MemoryBlobStore();
  let serverUrl = "";
  const urls = new SignedBlobUrls({ serverUrl: () => serverUrl });
  const failures: unknown[] = [];
  const onFailure = (error: unknown, key: string) => failures.push({ error, key });
  const answers = new AnswerSharing({ store, onFailure });
  const catalog = new RepositoryCatalog({
    ...{ store, blocks: new BlockCache(store) },
    ...(minDownloadBytes !== undefined && { urls, minDownloadBytes }),
    ...(sharesAnswers && { answers }),
  });
  const log = {
    ...SILENT_LOGGER,
    error: (event: string, fields = {}) => failures.push({ event, ...fields }),
  };
  const find: GitHttpOptions["find"] = (...request) => catalog.find(...request);
  const git = gitHttp({ ...OPEN_ACCESS, find, log, agent: "nearside/test" });
  const blobs = blobHttp({ store, urls });
  const requests: string[] = [];
  const server = await startNodeServer(
    (request) => {
      requests.push(`${request.method} ${request.path}`);
      return request.path.startsWith(BLOB_PATH_PREFIX) ? blobs(request) : git(request);
    },
    { log },
  );
  serverUrl = server.url;
  let pathCount = 0;
  const newPath = () => join(folder.path, String(pathCount++));
  return {
    url: server.url,
    urlOf: (slug) => `${server.url}/acme/${slug}.git`,
    newPath,
    mirrorOf: (source) => MirrorBuilder.open(store, source, newPath()),
    takeFailures: () => failures.splice(0),
    takeRequests: () => requests.splice(0),
    close: async () => {
      await server.close();
      await folder.remove();
    },
  };
}

/** All refs with their values, HEAD and where it points included. */
export async function refsOf(repository: string): Promise<string> {
  const head = await git(["rev-parse", "--symbolic-full-name", "HEAD"], { cwd: repository });
  return `${head}\n${await git(["show-ref", "--head", "--dereference"], { cwd: repository })}`;
}

/** The ids of what git would send for the revisions. */
export async function objectsOf(repository: string, ...revisions: string[]): Promise<string[]> {
  const objects = await git(["rev-list", "--objects", "--no-object-names", ...revisions], {
    cwd: repository,
  });
  return objects.split("\n").toSorted();
}

/** Every object in the repository's packs and loose files, reachable or not. */
export async function heldObjects(repository: string): Promise<string[]> {
  const args = ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"];
  return (await git(args, { cwd: repository })).split("\n").toSorted();
}

export async function expectSound(repository: string): Promise<void> {
  const args = ["fsck", "--full", "--strict", "--no-dangling"];
  const { exitCode, stdout, stderr } = await tryGit(args, { cwd: repository });
  expect(new TextDecoder().decode(stdout) + stderr).not.toMatch(/^(error|missing|broken)/m);
  expect(exitCode).toBe(0);
}

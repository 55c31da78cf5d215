/**
 * A mirror in memory of a fake Bitbucket's repositories, which real git filled with packs and clones from. What is missing here
 * is synchronized from the primary, as in a real mirror. After each test nothing may have failed, and the primary may have been
 * asked only what the test took note of.
 */
import { basename, dirname, join } from "node:path";
import { afterAll, afterEach, expect } from "vitest";
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { type GitHttpOptions, gitHttp } from "../../lib/git-http/git-http.ts";
import type { OnDemand } from "../../lib/git-http/served-source.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import type { RepositoryUuid } from "../../lib/repo/layout.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { startGitHttpServer } from "./git/git-http-server.ts";
import { MirrorBuilder, OFS_ALL, type PackOptions } from "./git/mirror-builder.ts";
import { git } from "./git/run-git.ts";
import { makeSampleRepository } from "./git/sample-repository.ts";
import { OPEN_ACCESS } from "./open-access.ts";
import { type Primary, startPrimary } from "./primary.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

/** Ways to have the sample repository. */
export const ONE_PACK: readonly PackOptions[] = [{ revisions: [], packObjectsOptions: OFS_ALL }];
const TWO_PACKS: readonly PackOptions[] = [
  { revisions: ["main~15"] },
  { revisions: ["^main~15"], packObjectsOptions: ["--thin", ...OFS_ALL] },
];
export const SEVERAL_PACKS: readonly PackOptions[] = [
  { revisions: ["main~15"] },
  { revisions: ["main~5", "^main~15"], packObjectsOptions: ["--thin", "--delta-base-offset"] },
  { revisions: ["^main~5"], packObjectsOptions: ["--thin", ...OFS_ALL] },
];
export const REPEATING_PACKS: readonly PackOptions[] = [
  { revisions: ["main~8"] },
  { revisions: ["main", "^main~12"], packObjectsOptions: ["--thin"] },
  ...ONE_PACK,
];

export interface ServedMirrorOptions {
  /** Makes the primary's repository, `acme/sample`; by default the sample repository in one pack. */
  readonly make?: (repository: string) => Promise<void>;
  /** The packs of each mirror of it, by slug; by default one of two packs, `sample`. */
  readonly packs?: Readonly<Record<string, readonly PackOptions[]>>;
  /** Hands out packs from this size on; none unless given. */
  readonly minDownloadBytes?: number;
  /** Whether answers are shared. */
  readonly sharesAnswers?: boolean;
}

export interface ServedMirror {
  readonly primary: Primary;
  /** The primary's bare repository `acme/sample`. */
  readonly sample: string;
  /** The address of repository `acme/<slug>`. */
  urlOf(slug: string): string;
  /** Where git itself serves `sample`. */
  readonly gitUrl: string;
  /** A path in a folder of this mirror's, not in use. */
  newPath(): string;
  /** @returns A new bare repository, with what `args` of git-fetch(1) bring from `acme/sample` at the primary. */
  newClient(...args: readonly string[]): Promise<string>;
  /** @returns What git-rev-parse(1) prints of the primary's `acme/sample`. */
  idOf(revision: string): Promise<string>;
  /** Fills another mirror. @param source - A bare repository beside `sample`, see `newSource`. */
  mirrorOf(source: string): Promise<MirrorBuilder>;
  /** A path for another repository of the primary's. */
  newSource(slug: string): string;
  /** How often the primary was asked for its refs since the last call. */
  takePrimaryListings(): number;
  /** Method and path of each request since the last call. */
  takeRequests(): string[];
}

/** For the top of a test file: closed after its tests. */
export async function servedMirror(options: ServedMirrorOptions = {}): Promise<ServedMirror> {
  const { make = makeSample, packs = { sample: TWO_PACKS }, minDownloadBytes, sharesAnswers } = options;
  const primary = await startPrimary({ make });
  const store = new MemoryBlobStore();
  const failures: unknown[] = [];
  let serverUrl = "";
  const urls = new SignedBlobUrls({ serverUrl: () => serverUrl });
  const onFailure = (error: unknown, key: string) => failures.push({ error, key });
  const storage = {
    ...{ store, blocks: new BlockCache(store) },
    ...(minDownloadBytes !== undefined && { urls, minDownloadBytes }),
    ...(sharesAnswers && { answers: new AnswerSharing({ store, onFailure }) }),
  };
  const catalog = new RepositoryCatalog(storage);
  const error = (event: string, fields = {}) => failures.push({ event, ...fields });
  const log = { ...SILENT_LOGGER, error };
  const sources = new Map<RepositoryUuid, string>();
  const find: GitHttpOptions["find"] = (...request) => catalog.find(...request);
  const onDemand: OnDemand = {
    async refresh(asked, needs) {
      const uuid = (await find(asked, needs))?.uuid ?? "";
      const repositoryUrl = `${primary.fake.gitUrl}/acme/${basename(sources.get(uuid) ?? "")}`;
      const upstream = upstreamGit({
        repositoryUrl,
        authorization: undefined,
        agent: "nearside/test",
        fetch,
      });
      await syncRepository(uuid, { storage, upstream, log });
      const source = await catalog.open(uuid);
      return source && { source };
    },
    refreshPushed: async () => undefined,
  };
  const answerGit = gitHttp({ ...OPEN_ACCESS, find, onDemand, log, agent: "nearside/test" });
  const answerBlobs = blobHttp({ store, urls });
  const requests: string[] = [];
  const server = await startNodeServer(
    (request) => {
      requests.push(`${request.method} ${request.path}`);
      return request.path.startsWith(BLOB_PATH_PREFIX) ? answerBlobs(request) : answerGit(request);
    },
    { log },
  );
  serverUrl = server.url;
  const gitServer = await startGitHttpServer(dirname(primary.repository));
  const { repository: sample, newPath } = primary;
  const mirror: ServedMirror = {
    ...{ primary, sample, newPath, gitUrl: gitServer.urlOf(basename(sample)) },
    urlOf: (slug) => `${server.url}/acme/${slug}.git`,
    async newClient(...args) {
      const client = newPath();
      await git(["init", "--quiet", "--bare", client]);
      if (args.length > 0) await git(["fetch", "--quiet", "--no-tags", sample, ...args], { cwd: client });
      return client;
    },
    idOf: (revision) => primary.git("rev-parse", revision),
    async mirrorOf(source) {
      const builder = await MirrorBuilder.open(store, source, newPath());
      sources.set(builder.uuid, source);
      return builder;
    },
    newSource: (slug) => join(dirname(sample), `${slug}.git`),
    takePrimaryListings() {
      const listings = primary.fake.controls.requests.filter(({ path }) => path.endsWith("/info/refs"));
      primary.fake.controls.clearRequests();
      return listings.length;
    },
    takeRequests: () => requests.splice(0),
  };
  afterEach(() => {
    expect({ failures: failures.splice(0), listings: mirror.takePrimaryListings() }).toEqual({
      failures: [],
      listings: 0,
    });
  });
  afterAll(async () => {
    await Promise.all([server.close(), gitServer.close()]);
    await primary.close();
  });
  for (const [slug, ofMirror] of Object.entries(packs)) {
    const builder = await mirror.mirrorOf(sample);
    for (const pack of ofMirror) await builder.addPack(pack);
    await builder.publish("acme", slug);
  }
  return mirror;
}

async function makeSample(repository: string): Promise<void> {
  await makeSampleRepository(repository);
  await git(["gc", "--quiet"], { cwd: repository });
}

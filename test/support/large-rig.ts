/**
 * A mirror with a small limit for its answers, and a server of the stream tier over the same store. `acme/sample` is above the limit;
 * its last commit alone is below.
 */
import { afterAll, beforeAll, beforeEach } from "vitest";
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { parseDecision } from "../../lib/git-http/access-decision.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { LargeRepositories } from "../../lib/git-http/large-repositories.ts";
import { StreamTier } from "../../lib/git-http/stream-tier.ts";
import { tierHttp } from "../../lib/git-http/tier-http.ts";
import { TierKeys } from "../../lib/git-http/tier-token.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { MirrorBuilder, OFS_ALL } from "./git/mirror-builder.ts";
import { git } from "./git/run-git.ts";
import { OPEN_ACCESS } from "./open-access.ts";
import { noiseBytes } from "./pack-builder.ts";
import { type Primary, startPrimary } from "./primary.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export const COMMIT_COUNT = 40;
const FILE_BYTES = 10_000;
const LIMIT = { maxPlannedBytes: 100_000, maxSentBytes: 110_000 };
export const TIER_KEY = "k".repeat(32);

export class LargeRig {
  primary!: Primary;
  mirror!: NodeServer;
  tier!: NodeServer;
  /** What the mirror knows as the tier's address; `undefined`: there is no tier. */
  tierUrl: string | undefined;
  /** Above which repositories are the tier's. */
  thresholdBytes = 0;
  /** Names the caller. */
  caller = "";
  nowMs = 0;
  readonly store = new CountingBlobStore(new MemoryBlobStore());
  readonly logged: string[] = [];
  /** Method and path of each request to the tier. */
  readonly tierRequests: string[] = [];
  readonly #log = {
    ...SILENT_LOGGER,
    info: (event: string, fields = {}) => void this.logged.push(JSON.stringify({ event, ...fields })),
    warn: (event: string, fields = {}) => void this.logged.push(JSON.stringify({ event, ...fields })),
    error: (event: string, fields = {}) => void this.logged.push(JSON.stringify({ event, ...fields })),
  };

  urlOf(slug = "sample"): string {
    return `${this.mirror.url}/acme/${slug}.git`;
  }

  primaryRequests(): string[] {
    return this.primary.fake.controls.requests.map(({ path }) => path);
  }

  async start(): Promise<void> {
    this.primary = await startPrimary({ make: makeRepository });
    const builder = await MirrorBuilder.open(this.store, this.primary.repository, this.primary.newPath());
    await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
    for (const slug of ["sample", "other"]) await builder.publish("acme", slug);
    this.mirror = await this.#startMirror();
    this.tier = await this.startTier();
  }

  async reset(): Promise<void> {
    this.tierUrl = undefined;
    this.thresholdBytes = 50_000;
    this.nowMs = Date.now();
    this.caller = "caller";
    this.logged.length = 0;
    this.tierRequests.length = 0;
    this.primary.fake.controls.clearRequests();
    for (const key of await this.notes()) await this.store.delete(key);
    this.store.reset();
  }

  async notes(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.store.list("refused/")) keys.push(key);
    return keys;
  }

  async close(): Promise<void> {
    await Promise.all([this.mirror.close(), this.tier.close()]);
    await this.primary.close();
  }

  async #startMirror(): Promise<NodeServer> {
    const rig = this;
    let serverUrl = "";
    const { store } = this;
    const log = this.#log;
    const now = () => this.nowMs;
    const urls = new SignedBlobUrls({ serverUrl: () => serverUrl });
    const answers = new AnswerSharing({ store, maxBytes: LIMIT.maxPlannedBytes });
    const storage = { store, blocks: new BlockCache(store), urls, minDownloadBytes: 1_000, answers };
    const catalog = new RepositoryCatalog(storage);
    const tier = new StreamTier({
      get url() {
        return rig.tierUrl ?? "";
      },
      get thresholdBytes() {
        return rig.tierUrl === undefined ? Number.POSITIVE_INFINITY : rig.thresholdBytes;
      },
      keys: new TierKeys(TIER_KEY),
      ...{ fetch, log, now },
    });
    const { gitUrl } = this.primary.fake;
    const large = new LargeRepositories({
      ...{ store, tier, log, now, gitUrl },
      callerKey: () => this.caller,
      redirectsToPrimary: true,
      limit: LIMIT,
    });
    const answerGit = gitHttp({
      access: async () => ({ kind: "allowed", primaryPath: "acme/sample" }),
      find: (...request) => catalog.find(...request),
      ...{ large, log, push: OPEN_ACCESS.push, agent: "nearside/test" },
    });
    const answerBlobs = blobHttp({ store, urls });
    const server = await startNodeServer(
      (request) => (request.path.startsWith(BLOB_PATH_PREFIX) ? answerBlobs(request) : answerGit(request)),
      { log },
    );
    serverUrl = server.url;
    return server;
  }

  async startTier(keys = TIER_KEY): Promise<NodeServer> {
    const { store } = this;
    const log = this.#log;
    const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store) });
    const answerGit = gitHttp({
      access: async ({ request, ...asked }) => parseDecision(request.authorizerContext?.["access"], asked),
      find: (...request) => catalog.find(...request),
      ...{ log, push: { kind: "refuse", gitUrl: this.primary.fake.gitUrl }, agent: "nearside/test" },
    });
    const handler = tierHttp({ keys: new TierKeys(keys), git: answerGit, log, now: () => this.nowMs });
    return startNodeServer(
      (request) => {
        this.tierRequests.push(`${request.method} ${request.path}`);
        return handler(request);
      },
      { log },
    );
  }
}

/** For the top of a test file: anew for each test, closed after all. */
export function largeRig(): LargeRig {
  const rig = new LargeRig();
  beforeAll(() => rig.start());
  beforeEach(() => rig.reset());
  afterAll(() => rig.close());
  return rig;
}

/** One file of noise, replaced by each commit: a clone is large, its last commit alone is not. */
async function makeRepository(path: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", path]);
  const pieces: (string | Uint8Array)[] = [];
  for (let number = 0; number < COMMIT_COUNT; number++) {
    const header = `commit refs/heads/main\ncommitter A <a@example.com> ${1_700_000_000 + number} +0000\ndata 2\nc\n`;
    pieces.push(
      header,
      `M 100644 inline file\ndata ${FILE_BYTES}\n`,
      noiseBytes(FILE_BYTES, number + 1),
      "\n",
    );
  }
  const input = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
  await git(["fast-import", "--quiet"], { cwd: path, input });
}

/**
 * A mirror that asks a fake Bitbucket who may read, in this process: repositories in each state a caller may meet, a
 * credential of each kind, a clock to turn, and all that was logged.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_VERDICT_LIMITS } from "../../lib/auth/verdict-record.ts";
import { SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { type AccessOverStoreOptions, accessOverStore } from "../../lib/git-http/access-over-store.ts";
import { FirstSync } from "../../lib/git-http/first-sync.ts";
import { type GitHttpOptions, gitHttp } from "../../lib/git-http/git-http.ts";
import { answerUnserved } from "../../lib/git-http/unserved.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { CopyRequests } from "../../lib/lfs-http/copy-requests.ts";
import { KnownRights } from "../../lib/lfs-http/known-rights.ts";
import { lfsHttp } from "../../lib/lfs-http/lfs-http.ts";
import { withLfsErrors } from "../../lib/lfs-http/lfs-response.ts";
import type { Logger } from "../../lib/log.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { servesBy } from "../../lib/mirror/selection.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import type { AccountsInput } from "./fake-bitbucket/accounts.ts";
import { type FakeBitbucket, startFakeBitbucket } from "./fake-bitbucket/fake-bitbucket.ts";
import { MirrorBuilder } from "./git/mirror-builder.ts";
import { makeSampleRepository } from "./git/sample-repository.ts";
import { temporaryFolder } from "./git/temporary-folder.ts";
import { nameRepository } from "./named-repository.ts";
import { recordOutput } from "./recorded-output.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";
import { MIRROR_SECRET, TOKENS } from "./test-credentials.ts";

export const EXPIRED_HINT = "Your API token has expired, create another one.";

const basic = (username: string, token: string) =>
  `Basic ${Buffer.from(`${username}:${token}`).toString("base64")}`;

/** One for each kind of credential, and what is none. */
export const CREDENTIALS = {
  anonymous: undefined,
  "API token of a writer": basic("wanda", TOKENS.wanda),
  "API token of a reader, fixed username": basic("x-bitbucket-api-token-auth", TOKENS.rita),
  "access token": basic("x-token-auth", TOKENS.robot),
  "access token as Bearer": `Bearer ${TOKENS.robot}`,
  "OAuth token": basic("x-token-auth", TOKENS.oauth),
  "OAuth token as Bearer": `Bearer ${TOKENS.oauth}`,
  "API token without rights": basic("stranger", TOKENS.stranger),
  "wrong password": basic("wanda", "wrong-secret-0000"),
  "expired API token": basic("expired", TOKENS.expired),
  "app password": basic("veteran", TOKENS.veteran),
  "not even base64": "Basic ?",
  "another scheme": "Negotiate abcdef",
} as const;

export type CredentialKind = keyof typeof CREDENTIALS;

/** Slugs in workspace `acme`. `old-name` is `new-name` by now; nothing is called `nothing`. */
const MIRRORED = ["site", "vault", "new-name", "deleted"];
const NOT_MIRRORED = ["unmirrored"];

const ACCOUNTS = {
  callers: [
    { name: "wanda", token: TOKENS.wanda, rights: { acme: "write" } },
    { name: "rita", token: TOKENS.rita, rights: { acme: "read" } },
    { name: "robot", token: TOKENS.robot, kind: "access-token", rights: { acme: "read" } },
    { name: "oauth", token: TOKENS.oauth, kind: "oauth-token", rights: { "acme/vault": "read" } },
    { name: "stranger", token: TOKENS.stranger, rights: {} },
    {
      name: "expired",
      token: TOKENS.expired,
      rights: { acme: "read" },
      refusal: { status: 401, text: EXPIRED_HINT },
    },
    { name: "veteran", token: TOKENS.veteran, kind: "app-password", rights: { acme: "read" } },
  ],
  repositories: {
    "acme/site": { public: true },
    acme: { project: "CORE" },
    "acme/new-name": { formerNames: ["acme/old-name"] },
  },
} satisfies AccountsInput;

export interface GuardedMirror {
  readonly fake: FakeBitbucket;
  readonly url: () => string;
  readonly store: CountingBlobStore;
  readonly folder: string;
  readonly accounts: AccountsInput;
  /** Turned by tests. */
  readonly clock: { nowMs: number };
  /** All that was logged, one JSON text each. */
  readonly logged: string[];
  /** As it was at the beginning, for the next test: nothing remembered, nothing recorded, the primary as it was. */
  reset(): Promise<void>;
  /** The same with nothing remembered in memory, as after a restart. */
  restarted(options?: GuardedMirrorOptions): Promise<{ readonly url: string }>;
  uuidOf(slug: string): string;
  /** The bare repository behind acme/`slug`. */
  primary(slug: string): string;
  /** How many questions about who may read have reached the primary. */
  checks(): number;
  get(path: string, authorization?: string, headers?: Record<string, string>): Promise<Response>;
  /** As `get`; only the status. */
  statusOf(path: string, authorization?: string): Promise<number>;
  /** Changes what one of the primary's callers may read. */
  setRights(caller: string, rights: Record<string, "none" | "read">): void;
  /** Turns the clock. */
  pass(seconds: number): void;
  close(): Promise<void>;
}

export interface GuardedMirrorOptions {
  readonly settings?: Partial<AccessOverStoreOptions["settings"]>;
  readonly push?: GitHttpOptions["push"]["kind"];
  /** Whether the primary's git takes uuids in place of names, and the last sync has seen so; it does by default. */
  readonly takesUuids?: boolean;
  /** What is asked to sync a repository that is not mirrored yet. By default nothing is ever done. */
  readonly requests?: SyncRequests;
  /** How long a request waits for that. */
  readonly waitMs?: number;
  /** Of workspace acme; by default all is mirrored. */
  readonly selection?: Partial<MirroredWorkspaceInput>;
  /** Whether callers without a credential are redirected where a public repository is not served. */
  readonly redirects?: boolean;
}

const NO_REQUESTS: SyncRequests = { request: async () => undefined };

export async function startGuardedMirror(options: GuardedMirrorOptions = {}): Promise<GuardedMirror> {
  const { takesUuids = true } = options;
  const foundBy = takesUuids ? "uuid" : "name";
  const { path: folder, remove } = await temporaryFolder();
  const store = new CountingBlobStore(new MemoryBlobStore());
  const primary = (slug: string) => join(folder, `primary/acme/${slug}.git`);
  const uuids = new Map<string, string>();
  for (const slug of [...MIRRORED, ...NOT_MIRRORED]) {
    await makeSampleRepository(primary(slug), { commitCount: 3 });
    if (!MIRRORED.includes(slug)) continue;
    const builder = await MirrorBuilder.open(store, primary(slug), join(folder, `scratch/${slug}`));
    await builder.addPack({ revisions: [], packObjectsOptions: ["--all", "--delta-base-offset"] });
    await builder.publish("acme", slug);
    uuids.set(slug, builder.uuid);
    const record = {
      workspace: "acme",
      slug,
      projectKey: "CORE",
      isPrivate: slug !== "site",
      foundBy,
    } as const;
    if (slug === "new-name") await nameRepository(store, builder.uuid, { ...record, slug: "old-name" });
    await nameRepository(store, builder.uuid, record);
  }
  await rm(primary("deleted"), { recursive: true });
  const repositories: NonNullable<AccountsInput["repositories"]> = { ...ACCOUNTS.repositories };
  for (const [slug, uuid] of uuids) repositories[`acme/${slug}`] = { ...repositories[`acme/${slug}`], uuid };
  const accounts = { callers: ACCOUNTS.callers, repositories };
  const fake = await startFakeBitbucket({ repositoriesFolder: join(folder, "primary"), accounts });
  fake.controls.misbehave({ refuseUuids: !takesUuids });
  const clock = { nowMs: Date.parse("2026-11-25T12:00:00Z") };
  const logged: string[] = [];
  const servers: NodeServer[] = [];
  const serve = async (given: GuardedMirrorOptions) => {
    const {
      settings,
      push = "redirect",
      requests = NO_REQUESTS,
      waitMs: maxWaitMs = 0,
      redirects = true,
    } = given;
    const config = mirrorConfigOf([
      { workspace: "acme", credential: "bot", projects: "all", ...given.selection },
    ]);
    const log = recordingLogger(logged);
    const catalog = new RepositoryCatalog(
      { store, blocks: new BlockCache(store) },
      { nowMs: () => clock.nowMs, serves: servesBy(async () => config) },
    );
    const policy = { kind: push, gitUrl: fake.gitUrl, fetch, readConfig: async () => config };
    const urls = new SignedBlobUrls({ serverUrl: () => url });
    const access = accessOverStore({
      store,
      probeQuestions: async () =>
        ["vault", "new-name"].map((slug) => ({
          authorization: CREDENTIALS["access token"],
          repositoryPath: `acme/${slug}`,
        })),
      secret: MIRROR_SECRET,
      fetch,
      gitUrl: fake.gitUrl,
      agent: "nearside/test",
      settings: {
        allowsAnonymous: true,
        anonymousPerMinute: 0,
        anonymousTotalPerMinute: 0,
        wrongCredentialsPerMinute: 0,
        staleMinutes: DEFAULT_VERDICT_LIMITS.staleMs / 60_000,
        relaysPushes: push === "relay",
        ...settings,
      },
      log,
      now: () => clock.nowMs,
    });
    const lfs = lfsHttp({
      rights: new KnownRights({ store, blocks: new BlockCache(store) }, log),
      urls,
      copies: new CopyRequests(async () => undefined),
      fetch,
      push: policy,
      log,
      agent: "nearside/test",
    });
    const handler = gitHttp({
      access,
      find: (...request) => catalog.find(...request),
      now: () => clock.nowMs,
      lfs,
      unserved: answerUnserved({
        store,
        readConfig: async () => config,
        firstSync: new FirstSync({ catalog, store, requests, maxWaitMs, log }),
        redirects,
        gitUrl: fake.gitUrl,
        lfs,
      }),
      push: policy,
      log,
      agent: "nearside/test",
    });
    const server = await startNodeServer(withLfsErrors(handler, { log }), { log });
    servers.push(server);
    return server;
  };
  let { url } = await serve(options);
  const get: GuardedMirror["get"] = (path, authorization, headers = {}) =>
    fetch(`${url}${path}`, {
      redirect: "manual",
      headers: { ...headers, ...(authorization !== undefined && { authorization }) },
    });
  return {
    fake,
    url: () => url,
    async reset() {
      await Promise.all(servers.splice(0).map((server) => server.close()));
      for await (const { key } of store.list("auth/")) await store.delete(key);
      fake.controls.behave();
      fake.controls.misbehave({ refuseUuids: !takesUuids });
      fake.controls.replaceAccounts(accounts);
      fake.controls.clearRequests();
      logged.length = 0;
      ({ url } = await serve(options));
      store.reset();
    },
    store,
    folder,
    accounts,
    clock,
    logged,
    restarted: (changed = {}) => serve({ ...options, ...changed }),
    uuidOf: (slug) => uuids.get(slug) ?? "",
    primary,
    checks: () => fake.controls.requests.filter(({ path }) => path.endsWith("/info/refs")).length,
    get,
    async statusOf(path, authorization) {
      const response = await get(path, authorization);
      await response.text();
      return response.status;
    },
    setRights(name, rights) {
      const callers = accounts.callers.map((caller) =>
        caller.name === name ? { ...caller, rights } : caller,
      );
      fake.controls.replaceAccounts({ ...accounts, callers });
    },
    pass(seconds) {
      clock.nowMs += seconds * 1000;
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      await fake.close();
      await remove();
    },
  };
}

function recordingLogger(logged: string[]): Logger {
  const record = (event: string, fields: object = {}) => {
    const line = JSON.stringify({ event, ...fields });
    logged.push(line);
    recordOutput(`${line}\n`);
  };
  return { debug: record, info: record, warn: record, error: record };
}

/** Git fetches by name. What another repository has that took the name meanwhile must not come in under the old uuid. */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import { bitbucketAccess } from "../../functions/wiring/bitbucket-access.ts";
import { UpstreamError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { readUpstreamRecord } from "../../lib/repo/upstream-record.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { MemoryBlobStore } from "../../lib/store/memory-blob-store.ts";
import { runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { RecentChecks } from "../../lib/sync/stated-sync.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";

const UUID = "0a1b2c3d-0000-4000-8000-000000000001";
const OTHER = "0a1b2c3d-0000-4000-8000-000000000002";
const SITE = { workspace: "acme", slug: "site", isPrivate: false };

let fake: FakeBitbucket;
let storage: { readonly store: MemoryBlobStore; readonly blocks: BlockCache };
let remove: () => Promise<void>;
let primary: (slug: string) => string;

beforeEach(async () => {
  const folder = await temporaryFolder();
  primary = (slug) => join(folder.path, `acme/${slug}.git`);
  await makeSampleRepository(primary("site"), { commitCount: 1 });
  fake = await startFakeBitbucket({ repositoriesFolder: folder.path });
  setUuids({ site: UUID });
  remove = folder.remove;
  const store = new MemoryBlobStore();
  storage = { store, blocks: new BlockCache(store) };
});

afterEach(async () => {
  await fake.close();
  await remove();
});

function setUuids(uuids: Readonly<Record<string, string>>): void {
  const { callers } = fake.controls.accounts;
  const repositories = Object.fromEntries(
    Object.entries(uuids).map(([slug, uuid]) => [`acme/${slug}`, { uuid, public: true }]),
  );
  fake.controls.replaceAccounts({ callers, repositories });
}

/** As a list says it that was made before anything was renamed. */
async function runListed() {
  const now = new Date().toISOString();
  const { primaryOf } = bitbucketAccess({ ...fake, accountOf: async () => DEMO_ACCOUNT });
  return runRepositoryJob(
    {
      kind: "repository",
      workspace: "acme",
      uuid: UUID,
      reason: "check",
      queuedAt: now,
      facts: { ...SITE, seenAt: now },
      factsFrom: "rest",
    },
    {
      storage,
      readConfig: async () => mirrorConfigOf([{ workspace: "acme", projects: "all", credential: "bot" }]),
      primaryOf,
      log: SILENT_LOGGER,
      checks: new RecentChecks(),
    },
  );
}

async function mirroredMain(): Promise<string | undefined> {
  const { refs } = await (await openRepository(storage, UUID)).readRefs();
  return refs.find(({ name }) => String(name) === "refs/heads/main")?.id;
}

async function renameAndReplace(): Promise<string> {
  const main = (await git(["rev-parse", "main"], { cwd: primary("site") })).trim();
  await rename(primary("site"), primary("page"));
  const cwd = primary("site");
  await git(["init", "--quiet", "--bare", "--initial-branch=main", cwd]);
  const tree = (await git(["mktree"], { cwd, input: "" })).trim();
  const other = (await git(["commit-tree", tree, "-m", "of another"], { cwd })).trim();
  await git(["update-ref", "refs/heads/main", other], { cwd });
  setUuids({ site: OTHER, page: UUID });
  return main;
}

test("the name went to another: the repository is fetched anew under the name that it has now", async () => {
  await runListed();
  const main = await renameAndReplace();
  const { facts } = await runListed();
  expect(facts?.slug).toBe("page");
  expect(await mirroredMain()).toBe(main);
  expect(await readUpstreamRecord(storage.store, UUID)).toMatchObject({ slug: "page" });
  expect(await readName(storage.store, "acme", "site")).toMatchObject({ isFormer: true });
});

test("while REST is away nothing is published that does not continue what is there", async () => {
  await runListed();
  const main = await renameAndReplace();
  fake.controls.misbehave({ rateLimitedForSeconds: 600, appliesTo: "rest" });
  await expect(runListed()).rejects.toThrow(UpstreamError);
  expect(await mirroredMain()).toBe(main);
});

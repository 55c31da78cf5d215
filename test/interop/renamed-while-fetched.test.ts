/** What another repository has that took a name must not come in under the uuid of the one that had it. */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DEMO_ACCOUNT } from "../../functions/local/demo.ts";
import { bitbucketAccess } from "../../functions/wiring/bitbucket-access.ts";
import { NotFoundError, UpstreamError } from "../../lib/errors.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readName } from "../../lib/repo/names.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { readNamedRecord } from "../../lib/repo/repository-record.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { RecentChecks } from "../../lib/sync/job-context.ts";
import { runRepositoryJob } from "../../lib/sync/repository-job.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";

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

/** @param basis - What the other one has besides its own commit: nothing, or all that ours has. */
async function replaceInPlace(basis: "nothing" | "ours"): Promise<void> {
  const aside = primary("aside");
  await rename(primary("site"), aside);
  const cwd = primary("site");
  await git(["init", "--quiet", "--bare", "--initial-branch=main", cwd]);
  if (basis === "ours") await git(["fetch", "--quiet", aside, "+refs/*:refs/*"], { cwd });
  const parents = basis === "ours" ? ["-p", "main"] : [];
  const tree = (await git(["mktree"], { cwd, input: "" })).trim();
  const other = (await git(["commit-tree", tree, ...parents, "-m", "of another"], { cwd })).trim();
  await git(["update-ref", "refs/heads/main", other], { cwd });
}

async function renameAndReplace(basis: "nothing" | "ours" = "nothing"): Promise<string> {
  const main = (await git(["rev-parse", "main"], { cwd: primary("site") })).trim();
  await replaceInPlace(basis);
  await rename(primary("aside"), primary("page"));
  setUuids({ site: OTHER, page: UUID });
  return main;
}

async function deleteAndReplace(basis: "nothing" | "ours"): Promise<string> {
  const main = (await git(["rev-parse", "main"], { cwd: primary("site") })).trim();
  await replaceInPlace(basis);
  await rename(primary("aside"), join(primary("site"), "../../deleted.git"));
  setUuids({ site: OTHER });
  return main;
}

async function commitTo(slug: string): Promise<string> {
  const cwd = primary(slug);
  const id = (await git(["commit-tree", "main^{tree}", "-p", "main", "-m", "news"], { cwd })).trim();
  await git(["update-ref", "refs/heads/main", id], { cwd });
  return id;
}

const REST_AWAY = { rateLimitedForSeconds: 600, appliesTo: "rest" } as const;

describe("a primary that takes uuids in the paths of git", () => {
  test("the repository is fetched by its uuid, whatever took its name, and gets the name that it has now", async () => {
    await runListed();
    await renameAndReplace("ours");
    const news = await commitTo("page");
    fake.controls.clearRequests();
    const { facts } = await runListed();
    expect(facts?.slug).toBe("page");
    expect(await mirroredMain()).toBe(news);
    expect(await readNamedRecord(storage.store, UUID)).toMatchObject({ slug: "page", foundBy: "uuid" });
    expect(await readName(storage.store, "acme", "site")).toMatchObject({ isFormer: true });
    const asked = fake.controls.requests.filter(({ surface }) => surface === "git");
    expect(new Set(asked.map(({ path }) => decodeURIComponent(path).split("/")[2]))).toEqual(
      new Set([`{${UUID}}.git`]),
    );
  });

  test("while REST is away, syncs go on, also where history was rewritten", async () => {
    await runListed();
    fake.controls.misbehave(REST_AWAY);
    await replaceInPlace("nothing");
    await runListed();
    expect(await mirroredMain()).toBe((await git(["rev-parse", "main"], { cwd: primary("site") })).trim());
  });

  test("while REST is away, what took the name of one that is gone is not published, though it holds the same history", async () => {
    await runListed();
    const main = await deleteAndReplace("ours");
    fake.controls.misbehave(REST_AWAY);
    await expect(runListed()).rejects.toThrow(UpstreamError);
    expect(await mirroredMain()).toBe(main);
  });
});

describe("a primary that takes names only", () => {
  beforeEach(() => fake.controls.misbehave({ refuseUuids: true }));

  test("the name went to another: the repository is fetched anew under the name that it has now", async () => {
    await runListed();
    expect(await readName(storage.store, "acme", "site")).toMatchObject({ foundBy: "name" });
    const main = await renameAndReplace("ours");
    const { facts } = await runListed();
    expect(facts?.slug).toBe("page");
    expect(await mirroredMain()).toBe(main);
    expect(await readNamedRecord(storage.store, UUID)).toMatchObject({ slug: "page" });
    expect(await readName(storage.store, "acme", "site")).toMatchObject({ isFormer: true });
  });

  test("while REST is away a first sync takes no name's word: it may be another's by now", async () => {
    await renameAndReplace("nothing");
    fake.controls.misbehave({ ...REST_AWAY, refuseUuids: true });
    await expect(runListed()).rejects.toThrow(UpstreamError);
    await expect(openRepository(storage, UUID)).rejects.toThrow(NotFoundError);
  });

  test("while REST is away nothing is published that does not continue what is there", async () => {
    await runListed();
    const main = await renameAndReplace("nothing");
    fake.controls.misbehave(REST_AWAY);
    await expect(runListed()).rejects.toThrow(UpstreamError);
    expect(await mirroredMain()).toBe(main);
  });

  test("while REST is away a push is taken that continues what is there", async () => {
    await runListed();
    const news = await commitTo("site");
    fake.controls.misbehave(REST_AWAY);
    await runListed();
    expect(await mirroredMain()).toBe(news);
  });
});

describe("a primary that takes uuids, and then does not any more", () => {
  const known = async () => (await readName(storage.store, "acme", "site"))?.foundBy;

  test("callers are asked about by name from the next round on, though nothing was pushed", async () => {
    await runListed();
    expect(await known()).toBe("uuid");
    fake.controls.misbehave({ refuseUuids: true });
    expect((await runListed()).outcome.kind).toBe("unchanged");
    expect(await known()).toBe("name");
  });

  test("while REST is away, the name of one that may be gone is not believed", async () => {
    await runListed();
    await deleteAndReplace("nothing");
    fake.controls.misbehave({ ...REST_AWAY, refuseUuids: true });
    await expect(runListed()).rejects.toThrow(UpstreamError);
    expect(await known()).toBe("uuid");
  });

  test("nor while it is away where the refs are the same", async () => {
    await runListed();
    fake.controls.misbehave({ ...REST_AWAY, refuseUuids: true });
    expect((await runListed()).outcome.kind).toBe("unchanged");
    expect(await known()).toBe("uuid");
  });
});

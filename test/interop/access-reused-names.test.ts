/**
 * A name that another repository has taken at the primary, before the mirror knows of it: a caller who may read the new one
 * gets nothing of the old one.
 */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseRepositoryUuid } from "../../lib/repo/layout.ts";
import { releaseName } from "../../lib/repo/name-index.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { CREDENTIALS, type GuardedMirror, startGuardedMirror } from "../support/guarded-mirror.ts";
import { nameRepository } from "../support/named-repository.ts";
import { TOKENS } from "../support/test-credentials.ts";

const WRITER = CREDENTIALS["API token of a writer"];
const STRANGER = CREDENTIALS["API token without rights"];
const NEW_UUID = "0a1b2c3d-0000-4000-8000-00000000000b";
const INFO_REFS = "info/refs?service=git-upload-pack";

describe.each([
  { primary: "takes uuids in paths", takesUuids: true, refusal: 404 },
  { primary: "takes names only", takesUuids: false, refusal: 503 },
])("a primary that $primary", ({ takesUuids, refusal }) => {
  let mirror: GuardedMirror;
  let aside: string;

  beforeAll(async () => {
    mirror = await startGuardedMirror({ takesUuids });
    aside = join(mirror.folder, "primary/acme/aside.git");
  });

  beforeEach(() => mirror.reset());

  afterEach(async () => {
    await rm(mirror.primary("vault"), { recursive: true });
    await rename(aside, mirror.primary("vault"));
  });

  afterAll(() => mirror.close());

  /** acme/vault is another one, which everyone may read; the one that the mirror has is acme/aside. */
  async function replaceVault(basis: "nothing" | "fork"): Promise<void> {
    await rename(mirror.primary("vault"), aside);
    const cwd = mirror.primary("vault");
    await git(["init", "--quiet", "--bare", "--initial-branch=main", cwd]);
    if (basis === "fork") await git(["fetch", "--quiet", aside, "+refs/*:refs/*"], { cwd });
    const tree = await git(["mktree"], { cwd, input: "" });
    const parents = basis === "fork" ? ["-p", "main"] : [];
    const id = await git(["commit-tree", tree, ...parents, "-m", "of another"], { cwd });
    await git(["update-ref", "refs/heads/main", id], { cwd });
    const { "acme/vault": old, ...others } = mirror.accounts.repositories ?? {};
    const repositories = {
      ...others,
      "acme/vault": { public: true, uuid: NEW_UUID },
      "acme/aside": { ...old },
    };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
  }

  test.each(["nothing", "fork"] as const)("shares %s with the old one: refused", async (basis) => {
    await replaceVault(basis);
    for (const path of ["/acme/vault.git", "/scm/CORE/vault.git"]) {
      expect(await mirror.statusOf(`${path}/${INFO_REFS}`, STRANGER)).toBe(refusal);
    }
    const url = `${mirror.url()}/acme/vault.git`.replace("//", `//stranger:${TOKENS.stranger}@`);
    const { exitCode, stdout } = await tryGit(["ls-remote", url]);
    expect([exitCode === 0, Buffer.from(stdout).toString()]).toEqual([false, ""]);
  });

  test("a yes that was given before ends after 60 s, also for the anonymous", async () => {
    await nameRepository(mirror.store, mirror.uuidOf("vault"), record({ isPrivate: false }));
    const repositories = {
      ...mirror.accounts.repositories,
      "acme/vault": { public: true, uuid: mirror.uuidOf("vault") },
    };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, STRANGER)).toBe(200);
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`)).toBe(200);
    await replaceVault("fork");
    mirror.clock.nowMs += 60_000;
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, STRANGER)).toBe(refusal);
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`)).toBe(takesUuids ? 401 : 503);
    await nameRepository(mirror.store, mirror.uuidOf("vault"), record({ isPrivate: true }));
  });

  test("nor is it stretched because the primary, which shows others, takes its time", async () => {
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, WRITER)).toBe(200);
    await replaceVault("fork");
    mirror.clock.nowMs += 60_000;
    mirror.fake.controls.misbehave({ delayMs: 400 });
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, WRITER)).toBe(takesUuids ? 200 : 503);
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, WRITER)).toBe(takesUuids ? 200 : 503);
  });

  test("once the name is let go here, what it meant a moment ago is not served to those who may read the new one", async () => {
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, WRITER)).toBe(200);
    await replaceVault("nothing");
    // As the job for the new one does, which need not be mirrored.
    const seenAt = new Date().toISOString();
    await releaseName(mirror.store, parseRepositoryUuid(NEW_UUID), {
      ...record({ isPrivate: true }),
      seenAt,
    });
    expect(await mirror.statusOf(`/acme/vault.git/${INFO_REFS}`, STRANGER)).toBe(404);
    const old = parseRepositoryUuid(mirror.uuidOf("vault"));
    await nameRepository(mirror.store, old, record({ isPrivate: true }));
  });

  test("the old one is served to those who may read it, by its uuid", async () => {
    await replaceVault("nothing");
    const uuid = encodeURIComponent(`{${mirror.uuidOf("vault")}}`);
    expect(await mirror.statusOf(`/acme/${uuid}.git/${INFO_REFS}`, STRANGER)).toBe(404);
    expect(await mirror.statusOf(`/acme/${uuid}.git/${INFO_REFS}`, WRITER)).toBe(takesUuids ? 200 : 404);
  });

  const record = ({ isPrivate }: { readonly isPrivate: boolean }) => ({
    workspace: "acme",
    slug: "vault",
    projectKey: "CORE",
    isPrivate,
  });
});

describe("a primary that takes names only", () => {
  let mirror: GuardedMirror;

  beforeAll(async () => {
    mirror = await startGuardedMirror({ takesUuids: false });
  });

  afterAll(() => mirror.close());

  test("a branch of the primary's that is not here yet is waited for, and then asked for again", async () => {
    const cwd = mirror.primary("vault");
    const id = await git(["commit-tree", "main^{tree}", "-p", "main", "-m", "news"], { cwd });
    const before = await git(["rev-parse", "main"], { cwd });
    await git(["update-ref", "refs/heads/main", id], { cwd });
    const asked = mirror.get(`/acme/vault.git/${INFO_REFS}`, WRITER);
    // The primary has answered with the new commit.
    const answered = () => mirror.fake.controls.requests.filter(({ sentBytes = 0 }) => sentBytes > 0);
    await expect.poll(() => answered().some(({ path }) => path.endsWith("/info/refs"))).toBe(true);
    await git(["update-ref", "refs/heads/main", before], { cwd });
    expect((await asked).status).toBe(200);
    expect(mirror.checks()).toBe(2);
  });

  test("one that stays behind says so, and erases no credential", async () => {
    const cwd = mirror.primary("vault");
    mirror.clock.nowMs += 60_000;
    const before = await git(["rev-parse", "main"], { cwd });
    const id = await git(["commit-tree", "main^{tree}", "-p", "main", "-m", "news"], { cwd });
    await git(["update-ref", "refs/heads/main", id], { cwd });
    const response = await mirror.get(`/acme/vault.git/${INFO_REFS}`, WRITER);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await response.text()).toContain("Bitbucket shows other refs under this name");
    await git(["update-ref", "refs/heads/main", before], { cwd });
  });
});

/** Under which names callers find a repository, and what those get who show no credential. */
import { rename, rm } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { CREDENTIALS } from "../support/guarded-mirror.ts";
import { nameRepository } from "../support/named-repository.ts";
import { useGuardedMirror } from "../support/shared-set-ups.ts";

const mirror = useGuardedMirror();

const VAULT = "/acme/vault.git/info/refs?service=git-upload-pack";
const SITE = "/acme/site.git/info/refs?service=git-upload-pack";
const READER = CREDENTIALS["API token of a reader, fixed username"];
const STRANGER = CREDENTIALS["API token without rights"];

describe("names", () => {
  const suffix = "info/refs?service=git-upload-pack";

  test.each([
    "/acme/vault.git",
    "/acme/vault",
    "/ACME/Vault.git",
    "/upstream/CORE/vault.git",
    "/scm/CORE/vault.git",
    "/scm/core/VAULT",
    "/acme/old-name.git",
    "/upstream/CORE/old-name.git",
  ])("%s is the repository, for who may read it", async (path) => {
    expect(await mirror.statusOf(`${path}/${suffix}`, READER)).toBe(200);
    expect(await mirror.statusOf(`${path}/${suffix}`, STRANGER)).toBe(404);
    expect(await mirror.statusOf(`${path}/${suffix}`)).toBe(401);
  });

  test("the uuid is a name as well, in the workspace that has the repository", async () => {
    const uuid = encodeURIComponent(`{${mirror.uuidOf("vault")}}`);
    expect(await mirror.statusOf(`/acme/${uuid}.git/${suffix}`, READER)).toBe(200);
    expect(await mirror.statusOf(`/acme/${uuid}/${suffix}`, STRANGER)).toBe(404);
    expect(await mirror.statusOf(`/other/${uuid}.git/${suffix}`, READER)).toBe(404);
    expect(await mirror.statusOf(`/acme/${uuid}.git/${suffix}`)).toBe(401);
    expect(await mirror.statusOf(`/acme/${encodeURIComponent(`{${mirror.uuidOf("site")}}`)}/${suffix}`)).toBe(
      200,
    );
  });

  test("a former name that another repository has taken leads nowhere, so that its readers do not get the old one", async () => {
    expect(await mirror.statusOf(`/acme/old-name.git/${suffix}`, READER)).toBe(200);
    await makeSampleRepository(mirror.primary("old-name"), { commitCount: 1 });
    mirror.pass(60);
    const stranger = { ...mirror.accounts.repositories, "acme/old-name": { public: true } };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories: stranger });
    expect(await mirror.statusOf(`/acme/old-name.git/${suffix}`, STRANGER)).toBe(404);
    expect(await mirror.statusOf(`/acme/old-name.git/${suffix}`, READER)).toBe(404);
    expect(await mirror.statusOf(`/acme/new-name.git/${suffix}`, READER)).toBe(200);
    await rm(mirror.primary("old-name"), { recursive: true });
  });

  test("a yes for one repository opens none that takes its name, not even while the primary is away", async () => {
    expect(await mirror.statusOf(SITE, STRANGER)).toBe(200);
    await rename(mirror.primary("site"), mirror.primary("page"));
    await rename(mirror.primary("vault"), mirror.primary("site"));
    const repositories = {
      ...mirror.accounts.repositories,
      "acme/site": { public: false, uuid: mirror.uuidOf("vault") },
      "acme/page": { public: true, uuid: mirror.uuidOf("site") },
    };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
    const record = { workspace: "acme", projectKey: "CORE" };
    await nameRepository(mirror.store, mirror.uuidOf("site"), {
      ...record,
      slug: "page",
      isPrivate: false,
    });
    await nameRepository(mirror.store, mirror.uuidOf("vault"), {
      ...record,
      slug: "site",
      isPrivate: true,
    });
    expect(await mirror.statusOf(SITE, STRANGER)).toBe(404);
    expect(await mirror.statusOf(SITE, READER)).toBe(200);
    mirror.pass(16);
    mirror.fake.controls.misbehave({ down: true });
    const other = CREDENTIALS["access token"];
    expect(await mirror.statusOf(SITE, other)).toBe(503);
    mirror.fake.controls.behave();
    await rename(mirror.primary("site"), mirror.primary("vault"));
    await rename(mirror.primary("page"), mirror.primary("site"));
    await nameRepository(mirror.store, mirror.uuidOf("vault"), {
      ...record,
      slug: "vault",
      isPrivate: true,
    });
    await nameRepository(mirror.store, mirror.uuidOf("site"), {
      ...record,
      slug: "site",
      isPrivate: false,
    });
  });

  test("a redirect of the primary's to another mirrored repository opens neither", async () => {
    await rename(mirror.primary("vault"), mirror.primary("away"));
    const repositories = {
      ...mirror.accounts.repositories,
      "acme/new-name": { public: true, uuid: mirror.uuidOf("new-name"), formerNames: ["acme/vault"] },
    };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
    expect(await mirror.statusOf(VAULT, STRANGER)).toBe(404);
    await rename(mirror.primary("away"), mirror.primary("vault"));
  });

  test("a repository renamed since the last sync is still found under the name it had", async () => {
    await rename(mirror.primary("vault"), mirror.primary("safe"));
    const repositories = {
      ...mirror.accounts.repositories,
      "acme/safe": { uuid: mirror.uuidOf("vault"), formerNames: ["acme/vault"] },
    };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
    expect(await mirror.statusOf(VAULT, READER)).toBe(200);
    expect(await mirror.statusOf(VAULT, STRANGER)).toBe(404);
    await rename(mirror.primary("safe"), mirror.primary("vault"));
  });

  test("a project's key that is not known is no workspace's name, nor is anything pushed there", async () => {
    for (const service of ["git-upload-pack", "git-receive-pack"]) {
      expect(await mirror.statusOf(`/scm/acme/unmirrored/info/refs?service=${service}`, READER)).toBe(404);
    }
    const asked = mirror.fake.controls.requests.map(({ path }) => decodeURIComponent(path));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((path) => path.includes("acme"))).toEqual([]);
  });

  test.each([
    "/acme/..%2fvault",
    "/acme/%2e%2e",
    "/acme/vault%00",
    "/acme/va%2fult",
    "/%5c%5chost/share",
    "/scm/..%2f..%2fauth/x",
    `/acme/${"v".repeat(10_000)}`,
    "/acme/%7B..%2f..%2fconfig%7D",
  ])("%s is 404, and nothing is touched", async (path) => {
    mirror.store.reset();
    expect(await mirror.statusOf(`${path}/${suffix}`, READER)).toBe(404);
    expect({ ...mirror.store.counts(), checks: mirror.checks() }).toMatchObject({ requests: 0, checks: 0 });
  });
});

describe("callers without a credential", () => {
  test("get nothing when that is set", async () => {
    const { url } = await mirror.restarted({ settings: { allowsAnonymous: false } });
    expect((await fetch(url + SITE)).status).toBe(401);
    expect((await fetch(url + SITE, { headers: { authorization: STRANGER } })).status).toBe(200);
  });

  test("are limited in rate for each address, without keeping anyone from logging in", async () => {
    const { url } = await mirror.restarted({ settings: { anonymousPerMinute: 3 } });
    const statuses = [];
    for (let count = 0; count < 5; count++) statuses.push((await fetch(url + SITE)).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect((await fetch(url + SITE)).headers.get("retry-after")).toBe("60");
    expect((await fetch(url + VAULT)).status).toBe(401);
    expect((await fetch(url + SITE, { headers: { authorization: READER } })).status).toBe(200);
    mirror.pass(60);
    expect((await fetch(url + SITE)).status).toBe(200);
  });
});

/** Who may read, as deployed: the authorizer before the git function, and API Gateway's ways with headers between them. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { LFS_STATE } from "../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../lib/repo/stored-lfs-rights.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { readStreamedResponse } from "../support/aws-front/streamed-response.ts";
import { runCli } from "../support/cli.ts";
import { makeCredentialHelper } from "../support/credential-helper.ts";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { MirrorBuilder, OFS_ALL } from "../support/git/mirror-builder.ts";
import { git, isolatedGitEnvironment, tryGit } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { nameRepository, reserve } from "../support/named-repository.ts";
import { expectSilentFsck, listRefs } from "../support/primary.ts";

const runtimeClient = findRuntimeClient();
const LFS_TYPE = "application/vnd.git-lfs+json";
const lfsFile = Buffer.from("a file of git-lfs");
const oidOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");
const INFO_REFS = "info/refs?service=git-upload-pack";

describe.skipIf(runtimeClient === undefined)("the authorizer and the git function together", () => {
  let acme: AcmeWorkspace;
  let front: AwsFront;

  beforeAll(async () => {
    acme = await openAcmeWorkspace();
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: acme.folder,
      settings: { gitUrl: acme.fake.gitUrl },
    });
    const { store } = front;
    for (const slug of ["site", "vault"]) {
      const builder = await MirrorBuilder.open(
        store,
        acme.primary(slug),
        join(acme.folder, `scratch-${slug}`),
      );
      await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
      await builder.publish("acme", slug);
      // The primary is asked about the one by its uuid, about the other by its name.
      const isVault = slug === "vault";
      const record = {
        workspace: "acme",
        slug,
        projectKey: "WEB",
        isPrivate: isVault,
        foundBy: isVault ? "uuid" : "name",
      } as const;
      await nameRepository(store, builder.uuid, record);
      await new StoredLfsRights(store, builder.uuid).add([
        {
          oid: oidOf(lfsFile),
          sizeBytes: lfsFile.length,
          state: LFS_STATE.stored,
          tries: 0,
          seconds: Math.floor(Date.now() / 1000),
        },
      ]);
      const { callers, repositories } = acme.fake.controls.accounts;
      const settings = { ...repositories[`acme/${slug}`], uuid: builder.uuid };
      acme.fake.controls.replaceAccounts({
        callers,
        repositories: { ...repositories, [`acme/${slug}`]: settings },
      });
    }
    await store.write(lfsFileKey(oidOf(lfsFile)), lfsFile);
    await makeSampleRepository(acme.primary("coming"), { commitCount: 1 });
    const { callers, repositories } = acme.fake.controls.accounts;
    acme.fake.controls.replaceAccounts({
      callers,
      repositories: { ...repositories, "acme/coming": { public: true } },
    });
    await reserve(store, "coming", "01234567-89ab-cdef-0123-456789abcdef", { isPublic: true });
  });

  afterAll(async () => {
    await front.close();
    await acme.close();
  });

  test("what is selected, public and not mirrored yet: git is redirected", async () => {
    const answer = await ask(`/acme/coming.git/${INFO_REFS}`);
    expect([answer.status, answer.headers.get("location")]).toEqual([
      307,
      `${acme.fake.gitUrl}/acme/coming.git/${INFO_REFS}`,
    ]);
  });

  async function ask(path: string, credential?: string): Promise<Response> {
    const headers = { ...(credential !== undefined && { authorization: `Basic ${btoa(credential)}` }) };
    return fetch(`${front.url}${path}`, { headers, redirect: "manual" });
  }

  test("the status function answers behind the same authorizer", async () => {
    const at = (path: string) => fetch(`${front.url}/-/repositories/acme/${path}`);
    expect(await (await at("site/status")).json()).toMatchObject({ generation: 1 });
    expect((await at("site/wait?ref=refs/heads/main&timeout=0")).status).toBe(200);
    expect((await at("vault/status")).status).toBe(401);
  });

  test("nearside clone gets packs and indexes from the bucket, and git has no pack to make", async () => {
    const clone = join(acme.folder, "site-by-plan");
    const url = `${front.url}/acme/site.git`;
    const plan = (await (await ask("/-/repositories/acme/site/clone-plan")).json()) as {
      packs: { indexUrl: string }[];
    };
    expect(new URL(plan.packs[0]?.indexUrl ?? "").origin).toBe(new URL(front.s3Server.endpoint).origin);
    expect(await runCli(["clone", "--quiet", "--bare", url, clone], isolatedGitEnvironment())).toMatchObject({
      exitCode: 0,
    });
    await expectSilentFsck(clone);
    expect(await git(["count-objects", "-v"], { cwd: clone })).toMatch(/^count: 0\n.*\nin-pack: [1-9]/);
    expect((await ask("/-/repositories/acme/vault/clone-plan")).status).toBe(401);
    expect((await ask("/-/repositories/acme/vault/clone-plan", "stranger:stranger-token")).status).toBe(404);
  });

  test("a public repository is cloned without a credential", async () => {
    const clone = join(acme.folder, "site-clone");
    await git(["clone", "--quiet", "--mirror", `${front.url}/acme/site.git`, clone]);
    expect(await listRefs(clone)).toBe(await listRefs(acme.primary("site")));
  });

  test("a private one with a credential, which git is asked for by a header that reaches it", async () => {
    const helper = await makeCredentialHelper(acme.folder, {
      [new URL(front.url).host]: { username: "rita", password: "rita-token" },
    });
    const clone = join(acme.folder, "vault-clone");
    await git([...helper.options, "clone", "--quiet", "--mirror", `${front.url}/scm/WEB/vault.git`, clone]);
    expect(await listRefs(clone)).toBe(await listRefs(acme.primary("vault")));
    await expectSilentFsck(clone);
    expect((await helper.takeCalls()).map((call) => call.split(" ")[0])).toEqual(["get", "store"]);
    expect((await ask(`/acme/vault.git/${INFO_REFS}`)).headers.get("www-authenticate")).toMatch(/^Basic /);
  });

  test("forbidden, unknown and not mirrored look the same", async () => {
    const texts = new Set<string>();
    for (const slug of ["vault", "nothing"]) {
      const response = await ask(`/acme/${slug}.git/${INFO_REFS}`, "stranger:stranger-token");
      expect(response.status).toBe(404);
      texts.add(await response.text());
      expect((await ask(`/acme/${slug}.git/${INFO_REFS}`)).status).toBe(401);
    }
    expect(texts.size).toBe(1);
  });

  test("a credential that the primary does not take is refused in its words", async () => {
    const url = acme
      .gitUrlAs("wanda:wrong", "acme/vault.git")
      .replace(acme.fake.gitUrl.slice(7), front.url.slice(7));
    const { exitCode, stderr } = await tryGit(["ls-remote", url]);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("Bitbucket says: Authentication required");
    expect(stderr).toContain("Authentication failed");
  });

  test("pushes are sent on to the primary", async () => {
    const path = "/acme/vault.git/info/refs?service=git-receive-pack";
    const response = await ask(path);
    expect([response.status, response.headers.get("location")]).toEqual([307, acme.fake.gitUrl + path]);
  });

  test("git-lfs gets presigned links to what is stored, where it may read at all, and is redirected for uploads", async () => {
    const path = "/acme/vault.git/info/lfs/objects/batch";
    const batch = async (credential?: string, operation = "download") => {
      const authorization = credential !== undefined && { authorization: `Basic ${btoa(credential)}` };
      const headers = { "content-type": "application/vnd.git-lfs+json", ...authorization };
      const objects = [lfsFile, Buffer.from("not stored")].map((content) => ({
        oid: oidOf(content),
        size: content.length,
      }));
      const body = JSON.stringify({ operation, objects });
      return fetch(front.url + path, { method: "POST", headers, body, redirect: "manual" });
    };
    const answer = await batch("rita:rita-token");
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, LFS_TYPE]);
    const { objects } = (await answer.json()) as {
      objects: { error?: object; authenticated?: boolean; actions?: { download: { href: string } } }[];
    };
    expect(objects[0]).toMatchObject({ authenticated: true, actions: { download: { expires_in: 3540 } } });
    expect(objects[1]).toMatchObject({ error: { code: 404 } });
    const href = objects[0]?.actions?.download.href ?? "";
    expect(new URL(href).origin).toBe(new URL(front.s3Server.endpoint).origin);
    const file = await fetch(href, { headers: { range: "bytes=4-" } });
    expect([file.status, await file.text()]).toEqual([206, lfsFile.subarray(4).toString()]);

    const refused = await batch("stranger:stranger-token");
    expect([refused.status, refused.headers.get("content-type")]).toEqual([404, LFS_TYPE]);
    expect((await batch()).status).toBe(401);
    const upload = await batch("rita:rita-token", "upload");
    expect([upload.status, upload.headers.get("location")]).toEqual([307, acme.fake.gitUrl + path]);
  });

  test("the primary was asked by uuid where the last sync had found it so", () => {
    const asked = acme.fake.controls.requests.map(({ path }) => path);
    expect(asked.some((path) => /^\/acme\/%7B[0-9a-f-]{36}%7D\.git\/info\/refs$/.test(path))).toBe(true);
    expect(asked).toContain("/acme/site.git/info/refs");
    expect(asked).not.toContain("/acme/vault.git/info/refs");
  });

  test("what names no repository is refused without a decision", async () => {
    expect((await ask("/acme/vault.git/HEAD")).status).toBe(404);
    expect((await ask("/acme/..%2fvault/info/refs?service=git-upload-pack", "rita:rita-token")).status).toBe(
      404,
    );
  });

  test("while the primary is away, 503 reaches the caller with its reason", async () => {
    acme.fake.controls.misbehave({ down: true });
    try {
      const response = await ask(`/acme/vault.git/${INFO_REFS}`, "x-token-auth:robot-token");
      expect([response.status, response.headers.get("retry-after")]).toEqual([503, "10"]);
      expect(await response.text()).toMatch(/^Bitbucket cannot be reached/);
    } finally {
      acme.fake.controls.behave();
    }
  });

  test("no credential is in the log of either function", () => {
    expect(front.log()).toContain('"event":"access:decided"');
    for (const secret of ["rita-token", btoa("rita:rita-token"), "robot-token", btoa("wanda:wrong")]) {
      expect(front.log()).not.toContain(secret);
    }
  });

  test("without an authorizer before it, the git function serves nothing", async () => {
    const event = {
      ...{ httpMethod: "GET", path: "/acme/site.git/info/refs", headers: {} },
      multiValueQueryStringParameters: { service: ["git-upload-pack"] },
    };
    const answer = await readStreamedResponse(await front.function("gitHttp").stream(event));
    expect(answer.statusCode).toBe(500);
    for await (const _ of answer.body);
  });
});

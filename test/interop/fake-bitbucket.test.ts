/** Real git against the fake Bitbucket Cloud: protocols, names, rights. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AcmeWorkspace, openAcmeWorkspace } from "../support/fake-bitbucket/acme-workspace.ts";
import { git, tryGit } from "../support/git/run-git.ts";

let acme: AcmeWorkspace;

beforeEach(async () => {
  acme = await openAcmeWorkspace();
});

afterEach(async () => {
  await acme.close();
});

async function refsOf(folder: string): Promise<string> {
  return git(["for-each-ref", "--format=%(objectname) %(refname)"], { cwd: folder });
}

test.each([0, 1, 2])(
  "a mirror clone in protocol %i has the primary's refs and passes fsck",
  async (version) => {
    const target = join(acme.folder, "clone.git");
    const url = acme.gitUrlAs("rita:rita-token", "acme/vault.git");
    await git(["-c", `protocol.version=${version}`, "clone", "--quiet", "--mirror", url, target]);
    expect(await refsOf(target)).toBe(await refsOf(acme.primary("vault")));
    expect(await git(["fsck", "--full", "--strict"], { cwd: target })).toBe("");
    const asked = acme.fake.controls.requests.map(({ gitProtocol }) => gitProtocol);
    expect(new Set(asked)).toEqual(new Set([version === 0 ? undefined : `version=${version}`]));
  },
);

test("a repository is found without .git, in any case and by its uuid", async () => {
  const { uuid } = (await (await fetch(`${acme.fake.apiUrl}/repositories/acme/site`)).json()) as {
    uuid: string;
  };
  expect(uuid).toMatch(/^\{[0-9a-f-]{36}\}$/);
  const refs = await git(["ls-remote", acme.primary("site")]);
  for (const path of ["acme/site", "ACME/Site.git", `acme/${encodeURIComponent(uuid)}.git`]) {
    expect(await git(["ls-remote", `${acme.fake.gitUrl}/${path}`])).toBe(refs);
  }
});

test("filters and wants by commit id are allowed, and the repository's own configuration is untouched", async () => {
  const target = join(acme.folder, "partial");
  await git(["clone", "--quiet", "--bare", "--filter=blob:none", `${acme.fake.gitUrl}/acme/site`, target]);
  const missing = await git(["rev-list", "--objects", "--all", "--missing=print"], { cwd: target });
  expect(missing).toMatch(/^\?/m);
  const hidden = await git(["rev-parse", "refs/heads/main~2"], { cwd: acme.primary("site") });
  await git(["fetch", "--quiet", "--depth=1", `${acme.fake.gitUrl}/acme/site`, hidden], { cwd: target });
  expect(await git(["config", "--local", "--list"], { cwd: acme.primary("site") })).not.toContain("allow");
});

test("request bodies may be gzip'd and chunked", async () => {
  const tip = await git(["rev-parse", "refs/heads/main"], { cwd: acme.primary("site") });
  const wants = Buffer.from(`0032want ${tip}\n00000009done\n`);
  const body = new ReadableStream({
    start(controller) {
      const zipped = gzipSync(wants);
      controller.enqueue(zipped.subarray(0, 5));
      controller.enqueue(zipped.subarray(5));
      controller.close();
    },
  });
  const response = await fetch(`${acme.fake.gitUrl}/acme/site.git/git-upload-pack`, {
    method: "POST",
    headers: { "Content-Type": "application/x-git-upload-pack-request", "Content-Encoding": "gzip" },
    body,
    duplex: "half",
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-git-upload-pack-result");
  expect(Buffer.from(await response.arrayBuffer()).toString("latin1", 0, 12)).toBe("0008NAK\nPACK");
});

test("a private repository challenges the anonymous and is not found by strangers, like one that is not there", async () => {
  const statusOf = async (path: string, credential?: string) => {
    const headers = credential === undefined ? {} : { Authorization: `Basic ${btoa(credential)}` };
    const response = await fetch(`${acme.fake.gitUrl}/${path}.git/info/refs?service=git-upload-pack`, {
      headers,
    });
    return [response.status, response.headers.get("www-authenticate"), await response.text()];
  };
  for (const path of ["acme/vault", "acme/nothing"]) {
    expect(await statusOf(path)).toEqual([401, 'Basic realm="Bitbucket.org HTTP"', expect.any(String)]);
    expect((await statusOf(path, "wanda:wrong"))[0]).toBe(401);
    expect(await statusOf(path, "stranger:stranger-token")).toEqual([
      404,
      null,
      expect.stringMatching(/^You may not have access to this repository or it no longer exists/),
    ]);
  }
  for (const credential of [
    "rita:rita-token",
    "x-bitbucket-api-token-auth:rita-token",
    "x-token-auth:robot-token",
  ]) {
    expect((await statusOf("acme/vault", credential))[0]).toBe(200);
  }
  expect((await statusOf("acme/vault", "rita@example.com:rita-token"))[0]).toBe(401);
  expect((await statusOf("acme/vault", "x-token-auth:rita-token"))[0]).toBe(401);
});

test("only writers push", async () => {
  const clone = await acme.cloneAs("rita:rita-token", "acme/vault.git");
  const before = await refsOf(acme.primary("vault"));
  await git(["commit", "--quiet", "--allow-empty", "-m", "Mine"], { cwd: clone });
  const refused = await tryGit(["push", "origin", "main"], { cwd: clone });
  expect(refused.stderr).toContain("403");
  expect(await refsOf(acme.primary("vault"))).toBe(before);
  await git(["push", "--quiet", acme.gitUrlAs("wanda:wanda-token", "acme/vault.git"), "main"], {
    cwd: clone,
  });
  expect(await git(["rev-parse", "main"], { cwd: acme.primary("vault") })).toBe(
    await git(["rev-parse", "HEAD"], { cwd: clone }),
  );
});

test("a push larger than git's buffer arrives in chunks, and a clone of it is whole", async () => {
  const clone = await acme.cloneAs("wanda:wanda-token", "acme/vault.git");
  await writeFile(join(clone, "large"), randomBytes(3_000_000));
  await git(["add", "large"], { cwd: clone });
  await git(["commit", "--quiet", "-m", "Large"], { cwd: clone });
  await git(["-c", "http.postBuffer=65536", "push", "--quiet", "origin", "main"], { cwd: clone });
  const again = await acme.cloneAs("rita:rita-token", "acme/vault.git");
  expect(await git(["fsck", "--full"], { cwd: again })).toBe("");
  expect(await git(["rev-parse", "HEAD"], { cwd: again })).toBe(
    await git(["rev-parse", "HEAD"], { cwd: clone }),
  );
});

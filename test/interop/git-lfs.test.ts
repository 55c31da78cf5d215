/** Real git-lfs against `nearside serve`, whose files are in a folder: downloads come from the mirror, everything else reaches the primary. */
import { createHash, randomBytes } from "node:crypto";
import fs, { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import isomorphicGit from "isomorphic-git";
import http from "isomorphic-git/http/node";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { runCli } from "../support/cli.ts";
import { GIT_CLIENTS } from "../support/clients/git-client.ts";
import { type CredentialHelper, makeCredentialHelper } from "../support/credential-helper.ts";
import { OPEN_ACCOUNTS } from "../support/fake-bitbucket/accounts.ts";
import { git, isolatedGitEnvironment, tryGit } from "../support/git/run-git.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { lfsClientsAt, lfsClone } from "../support/lfs/lfs-clone.ts";
import { type MirrorAnnouncement, type MirrorProcess, startMirror } from "../support/mirror-process.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";

const isMissing = (await tryGit(["lfs", "version"])).exitCode !== 0;
// In CI nothing is left out.
if (isMissing && process.env["CI"] !== undefined) throw new Error("git-lfs is not installed");

const WAITING = { timeout: 60_000, interval: 50 };

describe.skipIf(isMissing)("git-lfs", () => {
  let primary: Primary;
  let mirror: MirrorProcess & MirrorAnnouncement;
  let helper: CredentialHelper;
  let url: string;
  /** The contents of three files on main, and of one before. */
  const tips = [randomBytes(1), randomBytes(70_000), randomBytes(300_000)];
  const old = randomBytes(5_000);
  const oidOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

  beforeAll(async () => {
    primary = await startPrimary({ make: makeEmptyRepository });
    const credential = { username: "developer", password: "developer" };
    const hosts = { [new URL(primary.fake.gitUrl).host]: credential };
    helper = await makeCredentialHelper(primary.folder, hosts);
    const author = await cloneOf(`${primary.fake.gitUrl}/acme/sample.git`);
    await author.lfs("track", "*.bin");
    await author.commit({ "0.bin": old, "text.txt": Buffer.from("text") });
    await author.commit(Object.fromEntries(tips.map((content, i) => [`${i}.bin`, content])));
    await author.run("push", "--quiet", "origin", "HEAD:main");
    mirror = await startMirror(primary.mirrorArguments);
    url = `${mirror.url}/acme/sample.git`;
    helper = await makeCredentialHelper(primary.folder, { ...hosts, [new URL(mirror.url).host]: credential });
    await copied(...tips);
  }, 120_000);

  beforeEach(async () => {
    primary.fake.lfs.reset();
    await helper.takeCalls();
  });

  afterAll(async () => {
    await mirror?.stop();
    await primary.close();
  });

  /** Waits until they are in the mirror's store. */
  async function copied(...contents: readonly Uint8Array[]): Promise<void> {
    const paths = contents.map((content) => join(primary.storeFolder, lfsFileKey(oidOf(content))));
    await vi.waitFor(() => expect(paths.filter((path) => !existsSync(path))).toEqual([]), WAITING);
    // The file is there a moment before the right to it.
    const objects = contents.map((content) => ({ oid: oidOf(content), size: content.length }));
    await vi.waitFor(async () => {
      const response = await fetch(`${mirror.url}/acme/sample.git/info/lfs/objects/batch`, {
        method: "POST",
        body: JSON.stringify({ operation: "download", objects }),
      });
      const answer = (await response.json()) as { objects: { actions?: { download: { href: string } } }[] };
      for (const { actions } of answer.objects) expect(actions?.download.href).toContain(mirror.url);
    }, WAITING);
  }

  const cloneOf = (address: string, ...options: string[]) =>
    lfsClone({ path: primary.newPath(), address, credentials: helper.options, options });

  const clientsAtPrimary = () => lfsClientsAt(primary);

  test.each(["git", "nearside"])(
    "%s clone has the files of the mirror; the primary hears nothing of it",
    async (program) => {
      const path = primary.newPath();
      const filter = ["filter.lfs.process=git-lfs filter-process", "filter.lfs.required=true"];
      const options = filter.flatMap((one) => ["-c", one]);
      const args = ["clone", "--quiet", ...options, url, path];
      if (program === "git") await git(args);
      else expect(await runCli(args, isolatedGitEnvironment())).toMatchObject({ exitCode: 0 });
      for (const [i, content] of tips.entries())
        expect((await readFile(join(path, `${i}.bin`))).equals(content)).toBe(true);
      expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
    },
  );

  test("pulls, checks out, and finds all well", async () => {
    const clone = await cloneOf(url);
    expect((await clone.read("1.bin")).toString()).toMatch(/^version https:\/\/git-lfs/);
    await clone.lfs("pull");
    expect((await clone.read("1.bin")).equals(tips[1] as Buffer)).toBe(true);
    await rm(join(clone.path, "1.bin"));
    await clone.lfs("checkout", "1.bin");
    expect((await clone.read("1.bin")).equals(tips[1] as Buffer)).toBe(true);
    expect(await clone.lfs("fsck")).toContain("Git LFS fsck OK");
    expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
  });

  test("a clone without .git in its address", async () => {
    const clone = await cloneOf(url.replace(/\.git$/, ""));
    await clone.lfs("pull");
    expect((await clone.read("2.bin")).equals(tips[2] as Buffer)).toBe(true);
  });

  test("prunes only what the mirror could give again", async () => {
    const clone = await cloneOf(url);
    await clone.lfs("pull");
    await clone.run("checkout", "--quiet", "--detach", "HEAD~1");
    await clone.run("update-ref", "-d", "refs/remotes/origin/main");
    await clone.run("update-ref", "-d", "refs/remotes/origin/HEAD");
    await clone.run("reflog", "expire", "--expire=now", "--all");
    await clone.run("branch", "kept", "main");
    await clone.run("config", "lfs.fetchrecentrefsdays", "0");
    await clone.run("config", "lfs.pruneoffsetdays", "0");
    await clone.lfs("prune", "--verify-remote");
    // Unpushed, as the remote's branches are forgotten: kept.
    expect(await clone.objects()).toEqual(expect.arrayContaining([oidOf(tips[1] as Uint8Array)]));
    await clone.run("fetch", "--quiet", "origin");
    await clone.run("branch", "-D", "kept", "main");
    await clone.lfs("prune", "--verify-remote");
    expect(await clone.objects()).not.toContain(oidOf(tips[1] as Uint8Array));
    expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
  });

  test("an older commit's file comes by the primary, and the next time from the mirror", async () => {
    const clone = await cloneOf(url);
    await clone.lfs("fetch", "origin", "main~1");
    expect(await clone.objects()).toContain(oidOf(old));
    expect(clientsAtPrimary().transfers).toBe(1);
    await copied(old);
    primary.fake.lfs.reset();
    await clone.forget();
    await clone.lfs("fetch", "--all");
    expect(await clone.objects()).toEqual([old, ...tips].map(oidOf).toSorted());
    expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
  });

  test.each([["unset"], ["true"], ["false"]])(
    "pushes through the mirror's address, locksverify %s",
    async (verify) => {
      const clone = await cloneOf(url);
      if (verify !== "unset") await clone.run("config", "lfs.locksverify", verify);
      primary.fake.lfs.misbehave({ verifies: true });
      const content = randomBytes(20_000);
      await clone.commit({ "new.bin": content });
      const push = ["push", "--quiet", "origin", `HEAD:refs/heads/by-mirror-${verify}`];
      const { exitCode, stderr } = await clone.attempt(...push);
      // Bitbucket has no locks, which git-lfs takes well whatever it is set to.
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(primary.fake.lfs.verified).toEqual([oidOf(content)]);
      expect(await primary.git("cat-file", "-t", `by-mirror-${verify}:new.bin`)).toBe("blob");
      expect(clientsAtPrimary()).toMatchObject({ batches: expect.arrayContaining(["upload"]), transfers: 1 });
      expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
    },
  );

  test("pushes by a pushurl, and pulls from the mirror", async () => {
    const clone = await cloneOf(url);
    await clone.run("remote", "set-url", "--push", "origin", `${primary.fake.gitUrl}/acme/sample.git`);
    const content = randomBytes(20_000);
    await clone.commit({ "pushurl.bin": content });
    await clone.run("push", "--quiet", "origin", "HEAD:refs/heads/by-pushurl");
    await copied(content);
    primary.fake.lfs.reset();
    await clone.forget();
    await clone.lfs("fetch", "origin", "HEAD");
    expect(await clone.objects()).toContain(oidOf(content));
    expect(clientsAtPrimary().transfers).toBe(0);
  });

  test("locks and unlocks at the primary", async () => {
    primary.fake.lfs.misbehave({ locks: true });
    const clone = await cloneOf(url);
    await clone.lfs("lock", "1.bin");
    expect(await clone.lfs("locks")).toContain("1.bin");
    await clone.lfs("unlock", "1.bin");
    expect(await clone.lfs("locks")).toBe("");
  });

  test.each([
    ["true", 1],
    ["false", 0],
  ])("a file that another has locked, locksverify %s: the push ends with %i", async (verify, expected) => {
    primary.fake.lfs.misbehave({ locks: true });
    const other = { name: "other", token: "other", rights: { "*": "write" as const } };
    primary.fake.controls.replaceAccounts({
      ...OPEN_ACCOUNTS,
      callers: [...(OPEN_ACCOUNTS.callers ?? []), other],
    });
    const locks = `${primary.fake.gitUrl}/acme/sample.git/info/lfs/locks`;
    const post = async (path: string, body: object) => {
      const headers = { authorization: `Basic ${btoa("other:other")}` };
      const response = await fetch(`${locks}${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      return ((await response.json()) as { lock: { id: string } }).lock.id;
    };
    const id = await post("", { path: "1.bin" });
    const clone = await cloneOf(url);
    await clone.run("config", "lfs.locksverify", verify);
    await clone.commit({ "1.bin": randomBytes(30_000) });
    const branch = `refs/heads/locked-${verify}`;
    const { exitCode, stderr } = await clone.attempt("push", "--quiet", "origin", `HEAD:${branch}`);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: expected });
    if (expected === 1) expect(stderr).toContain("Cannot update locked files");
    const pushed = await primary.git("for-each-ref", "--format=%(refname)", branch);
    expect(pushed).toBe(expected === 1 ? "" : branch);
    await post(`/${encodeURIComponent(id)}/unlock`, { force: true });
    primary.fake.controls.replaceAccounts(OPEN_ACCOUNTS);
  });

  test("migrates files of the history, and pushes them", async () => {
    const clone = await cloneOf(url);
    await clone.lfs("migrate", "import", "--yes", "--include=*.txt", "--include-ref=refs/heads/main");
    await clone.run("push", "--quiet", "origin", "HEAD:refs/heads/migrated");
    const other = await cloneOf(`${primary.fake.gitUrl}/acme/sample.git`, "--branch=migrated");
    await other.lfs("pull");
    expect((await other.read("text.txt")).toString()).toBe("text");
  });

  test("250 files: pushed through the mirror, pulled at once, and again from the mirror once copied", async () => {
    const contents = Array.from({ length: 250 }, (_, i) => Buffer.from(`content ${i}`));
    const author = await cloneOf(url);
    await author.commit(Object.fromEntries(contents.map((content, i) => [`many-${i}.bin`, content])));
    await author.run("push", "--quiet", "origin", "HEAD:refs/heads/many");
    expect(await primary.git("rev-parse", "many")).toBe(await author.run("rev-parse", "HEAD"));
    const stored = await readdir(join(primary.repository, "lfs/objects"), { recursive: true });
    expect(stored).toEqual(
      expect.arrayContaining(contents.map((content) => expect.stringContaining(oidOf(content)))),
    );
    const reader = await cloneOf(url, "--branch=many");
    await reader.lfs("pull");
    for (const [i, content] of contents.entries())
      expect(await reader.read(`many-${i}.bin`)).toEqual(content);
    await copied(...contents);
    primary.fake.lfs.reset();
    await reader.forget();
    await reader.lfs("fetch");
    expect((await reader.objects()).length).toBe(253);
    expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
  });

  test("one is missing, though there is a pointer: the others are fetched, and git-lfs says which is not", async () => {
    const oid = "f".repeat(64);
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize 12\n`;
    await primary.git("branch", "planted", "main");
    await primary.commit("planted", "planted.bin", pointer);
    const clone = await cloneOf(`${primary.fake.gitUrl}/acme/sample.git`, "--branch=planted");
    await clone.run("config", "lfs.url", `${url}/info/lfs`);
    const { exitCode, stderr } = await clone.attempt("lfs", "fetch", "origin", "planted");
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(oid) });
    expect(await clone.objects()).toEqual(tips.map(oidOf).toSorted());
  });

  describe.each(GIT_CLIENTS)("$name", (client) => {
    test("gets pointers, as it knows nothing of git-lfs", async ({ skip }) => {
      const missing = await client.missing();
      if (missing !== undefined && process.env["CI"] !== undefined) throw new Error(missing);
      if (missing !== undefined) return skip(missing);
      const path = primary.newPath();
      await client.clone(url, path);
      const main = await primary.git("rev-parse", "main");
      for (const [i, content] of tips.entries())
        expect(await git(["cat-file", "blob", `${main}:${i}.bin`], { cwd: path })).toBe(
          `version https://git-lfs.github.com/spec/v1\noid sha256:${oidOf(content)}\nsize ${content.length}`,
        );
    });
  });

  test("isomorphic-git checks pointers out", async () => {
    const dir = primary.newPath();
    await isomorphicGit.clone({ fs, http, url, dir, ref: "main" });
    expect(await readFile(join(dir, "1.bin"), "utf8")).toContain(
      `oid sha256:${oidOf(tips[1] as Uint8Array)}`,
    );
  });

  test("while the primary limits the rate: git-lfs waits for as long as it says", async () => {
    const clone = await cloneOf(url);
    const content = randomBytes(3000);
    const oid = await addLfsFile(primary, "late.bin", content);
    primary.fake.lfs.misbehave({ batchStatus: 429, batchRetryAfterSeconds: 2 });
    await vi.waitFor(
      async () =>
        expect(await clone.run("ls-remote", "origin", "main")).toContain(
          await primary.git("rev-parse", "main"),
        ),
      WAITING,
    );
    await clone.run("fetch", "--quiet", "origin");
    setTimeout(() => primary.fake.lfs.misbehave({ batchStatus: null }), 1000);
    await clone.lfs("fetch", "origin", "origin/main");
    expect(await clone.objects()).toContain(oid);
    // For the tests below, which pull it while the primary gives nothing.
    await copied(content);
  });

  test("while the primary is slow: what is stored comes at the mirror's speed", async () => {
    primary.fake.lfs.misbehave({ bytesPerSecond: 1000, batchDelayMs: 60_000 });
    const clone = await cloneOf(url);
    await clone.lfs("pull");
    expect((await clone.read("2.bin")).equals(tips[2] as Buffer)).toBe(true);
    expect(clientsAtPrimary()).toEqual({ batches: [], transfers: 0 });
  });

  test("while the primary is away: what is stored is served", async () => {
    const clone = await cloneOf(url);
    primary.fake.lfs.misbehave({ batchStatus: 503 });
    await clone.lfs("pull");
    expect((await clone.read("2.bin")).equals(tips[2] as Buffer)).toBe(true);
  });
});

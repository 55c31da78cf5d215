/** Real git-lfs and credentials: a good one is kept and asked for once, a wrong one ends soon; and the cases of git-lfs's own server test. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { CREDENTIALS, type GuardedMirror, startGuardedMirror } from "../support/guarded-mirror.ts";
import { TOKENS } from "../support/test-credentials.ts";

const isMissing = (await tryGit(["lfs", "version"])).exitCode !== 0;
// In CI nothing is left out.
if (isMissing && process.env["CI"] !== undefined) throw new Error("git-lfs is not installed");

let mirror: GuardedMirror;

beforeAll(async () => {
  mirror = await startGuardedMirror();
});

beforeEach(async () => {
  await mirror.reset();
  mirror.fake.lfs.reset();
});

afterAll(() => mirror.close());

const oidOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

describe.skipIf(isMissing)("git-lfs with a credential", () => {
  const content = randomBytes(30_000);
  let clone: string;
  let helper: Awaited<ReturnType<typeof makeCredentialHelper>>;

  async function prepare(
    username: string,
    password: string,
    atPrimary: readonly [string, string] = ["wanda", TOKENS.wanda],
  ) {
    const host = new URL(mirror.url()).host;
    helper = await makeCredentialHelper(mirror.folder, {
      [host]: { username, password },
      [new URL(mirror.fake.gitUrl).host]: { username: atPrimary[0], password: atPrimary[1] },
    });
    clone = join(mirror.folder, `clone-${Math.random()}`);
    const authorization = CREDENTIALS["API token of a writer"];
    const header = ["-c", `http.${mirror.url()}/.extraHeader=Authorization: ${authorization}`];
    await git([...header, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
    await git(["lfs", "install", "--local"], { cwd: clone });
    await git(["lfs", "track", "*.bin"], { cwd: clone });
    await writeFile(join(clone, "a.bin"), content);
    await git(["add", "--all"], { cwd: clone });
    await git(["commit", "--quiet", "--message=A file"], { cwd: clone });
    const file = join(
      mirror.primary("vault"),
      "lfs/objects",
      oidOf(content).slice(0, 2),
      oidOf(content).slice(2, 4),
    );
    await mkdir(file, { recursive: true });
    await writeFile(join(file, oidOf(content)), content);
    await git(["lfs", "uninstall", "--local"], { cwd: clone });
    mirror.fake.lfs.reset();
    mirror.logged.length = 0;
  }

  /** Of requests that the mirror has got. */
  const requests = () => mirror.logged.filter((line) => line.includes('"access:decided"'));
  /** What it has committed is there no longer. */
  const forget = () => rm(join(clone, ".git/lfs/objects"), { recursive: true });
  const fetchFiles = (...options: string[]) =>
    tryGit([...helper.options, ...options, "lfs", "fetch", "--include=a.bin", "origin", "HEAD"], {
      cwd: clone,
    });

  test.each(["false", "true"])(
    "asks the helper for it once, and keeps it: useHttpPath %s",
    async (usesPath) => {
      await prepare("rita", TOKENS.rita);
      await forget();
      const { exitCode, stderr } = await fetchFiles("-c", `credential.useHttpPath=${usesPath}`);
      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      const host = new URL(mirror.url()).host;
      expect((await helper.takeCalls()).filter((call) => !call.startsWith("store"))).toEqual([`get ${host}`]);
      expect(mirror.fake.lfs.batches).toMatchObject([{ caller: "rita", status: 200 }]);
    },
  );

  test("a token that may only read is refused the push with 403, and stays in the helper", async () => {
    await prepare("rita", TOKENS.rita, ["rita", TOKENS.rita]);
    const push = ["lfs", "push", "origin", "HEAD"];
    const { exitCode, stderr } = await tryGit([...helper.options, ...push], { cwd: clone });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 2,
      stderr: expect.stringMatching(/write access/),
    });
    expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
    const uploads = mirror.fake.lfs.batches.filter(({ operation }) => operation === "upload");
    expect(uploads).toMatchObject([{ status: 403 }]);
    // It still reads.
    await forget();
    expect(await fetchFiles()).toMatchObject({ exitCode: 0 });
  });

  test("a mirror that refuses pushes says where to push to", async () => {
    await prepare("wanda", TOKENS.wanda);
    const { url } = await mirror.restarted({ push: "refuse" });
    const config = ["-c", `remote.origin.url=${url}/acme/vault.git`];
    const { exitCode, stderr } = await tryGit(
      [
        ...config,
        "-c",
        `http.${url}/.extraHeader=Authorization: ${CREDENTIALS["API token of a writer"]}`,
        "lfs",
        "push",
        "origin",
        "HEAD",
      ],
      { cwd: clone },
    );
    const line = `git remote set-url --push origin ${mirror.fake.gitUrl}/acme/vault.git`;
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(line) });
    expect(mirror.fake.lfs.batches).toEqual([]);
  });

  test.each(["in the configuration", "in the address", "in a helper that gives the same one each time"])(
    "a wrong one %s ends within ten seconds and five requests",
    async (place) => {
      await prepare("wanda", "wrong-secret-0000");
      await forget();
      const { origin, host } = new URL(mirror.url());
      const header = `http.${origin}/.extraHeader=Authorization: ${CREDENTIALS["wrong password"]}`;
      const address = `remote.origin.url=http://wanda:wrong-secret-0000@${host}/acme/vault.git`;
      const options =
        { "in the configuration": ["-c", header], "in the address": ["-c", address] }[place] ?? [];
      const startedMs = performance.now();
      const { exitCode, stderr } = await fetchFiles(...options);
      expect(performance.now() - startedMs).toBeLessThan(10_000);
      const reason = /rejected a moment ago|credentials|Authentication required/i;
      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringMatching(reason) });
      expect(requests().length).toBeGreaterThan(0);
      expect(requests().length).toBeLessThanOrEqual(5);
      expect(mirror.checks()).toBeLessThanOrEqual(2);
    },
  );
});

/** As `git-lfs-test-server-api` does: files that are all there, none, or some. */
describe("git-lfs's server test", () => {
  const files = Array.from({ length: 6 }, (_, i) => Buffer.from(`server test ${i}`));
  const absent = Array.from({ length: 6 }, (_, i) => Buffer.from(`absent ${i}`));

  beforeAll(async () => {
    for (const content of files) {
      const oid = oidOf(content);
      const path = join(mirror.primary("vault"), "lfs/objects", oid.slice(0, 2), oid.slice(2, 4), oid);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, content);
    }
  });

  async function ask(operation: "download" | "upload", contents: readonly Uint8Array[]) {
    const objects = contents.map((content) => ({ oid: oidOf(content), size: content.length }));
    // `fetch` sends no credential to another host, git-lfs one of its own.
    const authorization = CREDENTIALS["API token of a writer"];
    const options: RequestInit = {
      method: "POST",
      headers: { authorization, "content-type": "application/vnd.git-lfs+json" },
      body: JSON.stringify({ operation, transfers: ["basic"], objects }),
      redirect: "manual",
    };
    let response = await fetch(`${mirror.url()}/acme/vault.git/info/lfs/objects/batch`, options);
    const isRedirected = response.status === 307;
    if (isRedirected) response = await fetch(response.headers.get("location") ?? "", options);
    const { objects: entries } = (await response.json()) as {
      objects: { oid: string; error?: { code: number }; actions?: Record<string, unknown> }[];
    };
    expect(entries.map(({ oid }) => oid)).toEqual(objects.map(({ oid }) => oid));
    const kinds = entries.map(({ error, actions = {} }) => error?.code ?? Object.keys(actions).join());
    return { isRedirected, kinds };
  }

  const mixed = files.flatMap((content, i) => [content, absent[i] as Buffer]);
  const times = (count: number, ...kinds: (string | number)[]) =>
    Array.from({ length: count }, () => kinds).flat();

  test.each([
    ["download", "all", files, times(6, "download")],
    ["download", "none", absent, times(6, 404)],
    ["download", "mixed", mixed, times(6, "download", 404)],
    ["upload", "all", absent, times(6, "upload")],
    ["upload", "none", files, times(6, "")],
    ["upload", "mixed", mixed, times(6, "", "upload")],
  ] as const)("%s of %s", async (operation, _, contents, kinds) => {
    expect(await ask(operation, contents)).toEqual({ isRedirected: operation === "upload", kinds });
  });
});

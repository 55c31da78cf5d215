/** `nearside clone`: what it makes is a repository of git's own, and where it cannot help git clones. */
import { existsSync } from "node:fs";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { BY_PLAN_ALWAYS } from "../support/clone-rig.ts";
import { type CredentialHelper, makeCredentialHelper } from "../support/credential-helper.ts";
import { type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts";
import { git, isolatedGitEnvironment } from "../support/git/run-git.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";
import { type ServedAcme, serveAcme } from "../support/served-acme.ts";

let served: ServedAcme;
let acme: ServedAcme["acme"];
let mirror: ServedAcme["mirror"];
let proxy: FaultyProxy;
let helper: CredentialHelper;
let cloneCount = 0;

beforeAll(async () => {
  served = await serveAcme(3_600);
  ({ acme, mirror } = served);
  proxy = await startFaultyProxy(mirror.url);
  const credential = { username: "rita", password: "rita-token" };
  helper = await makeCredentialHelper(acme.folder, { [new URL(proxy.url).host]: credential });
});

beforeEach(async () => {
  proxy.fault = () => undefined;
  proxy.takeRequests();
  await helper.takeCalls();
});

afterAll(async () => {
  await proxy.close();
  await served.close();
});

/** A folder of its own, so that what is left behind shows. */
async function newTarget(): Promise<string> {
  const folder = join(acme.folder, `clones-${cloneCount++}`);
  await mkdir(folder);
  return join(folder, "clone");
}

interface Cloned {
  readonly target: string;
  readonly exitCode: number;
  readonly stderr: string;
  /** Whether git received objects. */
  readonly isByGit: boolean;
  /** Of packs, indexes and refs. */
  readonly downloads: readonly string[];
}

interface CloneParts {
  readonly slug?: string;
  readonly args?: readonly string[];
  readonly settings?: readonly (readonly [name: string, value: string])[];
  readonly url?: string;
}

async function clone({
  slug = "site",
  args = [],
  settings = [],
  url = `${proxy.url}/acme/${slug}.git`,
}: CloneParts = {}): Promise<Cloned> {
  const target = await newTarget();
  const config = settings.flatMap(([name, value], n) => [
    [`GIT_CONFIG_KEY_${n}`, name],
    [`GIT_CONFIG_VALUE_${n}`, value],
  ]);
  const env = {
    ...isolatedGitEnvironment(),
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(config),
  };
  const { exitCode, stderr } = await runCli(["clone", "--quiet", BY_PLAN_ALWAYS, ...args, url, target], env);
  const requests = proxy.takeRequests();
  return {
    ...{ target, exitCode, stderr },
    isByGit: requests.filter((line) => line.endsWith("/git-upload-pack")).length > 1,
    downloads: requests.filter((line) => line.includes("/~blobs/")),
  };
}

const byHelper = () => [["credential.helper", helper.options.at(-1)?.split("=")[1] ?? ""]] as const;

test("a clone is whole, holds the mirror's packs as git does, fetches, and pushes to the primary", async () => {
  const { target, exitCode, isByGit, downloads } = await clone();
  expect({ exitCode, isByGit, downloads: downloads.length }).toEqual({
    exitCode: 0,
    isByGit: false,
    downloads: 3,
  });
  await expectSilentFsck(target);
  expect(await readdir(dirname(target))).toEqual([basename(target)]);
  const plain = await newTarget();
  const url = `${proxy.url}/acme/site.git`;
  await git(["clone", "--quiet", url, plain]);
  expect(await refsOf(target)).toBe(await refsOf(plain));
  expect(await git(["status", "--porcelain", "--branch"], { cwd: target })).toBe("## main...origin/main");
  const folder = join(target, ".git/objects/pack");
  const packs = await readdir(folder);
  expect(packs.map((name) => name.replace(/^pack-[0-9a-f]{40}/, "pack")).toSorted()).toEqual([
    "pack.idx",
    "pack.pack",
  ]);
  for (const name of packs) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o444);
  expect(existsSync(join(target, ".git/objects/info/alternates"))).toBe(false);
  expect(await git(["remote", "get-url", "origin"], { cwd: target })).toBe(url);
  expect(await git(["remote", "get-url", "--push", "origin"], { cwd: target })).toBe(
    `${acme.fake.gitUrl}/acme/site.git`,
  );
  await git(["fetch", "--quiet"], { cwd: target });
  await git(["commit", "--quiet", "--allow-empty", "--message=mine"], { cwd: target });
  const { host, protocol } = new URL(acme.fake.gitUrl);
  const asWanda = ["-c", `url.${protocol}//wanda:wanda-token@${host}/.insteadOf=${protocol}//${host}/`];
  await git([...asWanda, "push", "--quiet", "origin", "HEAD:refs/heads/pushed"], { cwd: target });
  expect(await git(["rev-parse", "pushed"], { cwd: acme.primary("site") })).toBe(
    await git(["rev-parse", "HEAD"], { cwd: target }),
  );
});

test.each([
  [["--bare"], "."],
  [["--mirror"], "."],
  [["--branch", "develop", "-o", "up", "--no-tags"], ".git"],
  [["--no-checkout", "--verify"], ".git"],
  [["--config", "transfer.fsckObjects=true"], ".git"],
])("%j makes what git clone makes", async (args, gitFolder) => {
  const { target, exitCode, isByGit } = await clone({ args });
  expect({ exitCode, isByGit }).toEqual({ exitCode: 0, isByGit: false });
  const plain = await newTarget();
  const ofGit = args.filter((argument) => argument !== "--verify");
  await git(["clone", "--quiet", ...ofGit, `${proxy.url}/acme/site.git`, plain]);
  await expectSilentFsck(target);
  expect(await refsOf(target)).toBe(await refsOf(plain));
  expect((await readdir(target)).toSorted()).toEqual((await readdir(plain)).toSorted());
  const config = async (folder: string) =>
    (await git(["config", "--list", "--file", join(folder, gitFolder, "config")]))
      .split("\n")
      .filter((line) => !line.includes(".pushurl="));
  expect(await config(target)).toEqual(await config(plain));
});

test("a private repository is cloned with the credential of git's helper, and to others it is not there", async () => {
  const { target, exitCode, isByGit, downloads } = await clone({ slug: "vault", settings: byHelper() });
  expect({ exitCode, isByGit, downloads: downloads.length }).toEqual({
    exitCode: 0,
    isByGit: false,
    downloads: 3,
  });
  await expectSilentFsck(target);
  const { host } = new URL(proxy.url);
  expect((await helper.takeCalls()).slice(0, 2)).toEqual([`get ${host}`, `store ${host}`]);
  const header = `Authorization: Basic ${Buffer.from("rita:rita-token").toString("base64")}`;
  const withHeader = await clone({ slug: "vault", settings: [["http.extraHeader", header]] });
  expect(withHeader).toMatchObject({ exitCode: 0, isByGit: false });

  const planOf = (slug: string, userinfo: string) =>
    fetch(`${mirror.url}/-/repositories/acme/${slug}/clone-plan`, {
      headers: { authorization: `Basic ${Buffer.from(userinfo).toString("base64")}` },
    });
  const [unknown, hidden] = await Promise.all([
    planOf("no-such", "rita:rita-token"),
    planOf("vault", "stranger:stranger-token"),
  ]);
  expect([hidden.status, await hidden.text()]).toEqual([unknown.status, await unknown.text()]);
  expect(unknown.status).toBe(404);
  expect((await fetch(`${mirror.url}/-/repositories/acme/vault/clone-plan`)).status).toBe(401);
});

test("a credential that is wrong is rejected, as git does, and nothing is cloned", async () => {
  const { host } = new URL(proxy.url);
  const wrong = await makeCredentialHelper(dirname(await newTarget()), {
    [host]: { username: "rita", password: "wrong" },
  });
  const settings = [["credential.helper", wrong.options.at(-1)?.split("=")[1] ?? ""]] as const;
  const { exitCode, target } = await clone({ slug: "vault", settings });
  expect(exitCode).toBe(128);
  expect(await readdir(dirname(target))).toEqual([]);
  // The first by this command, which leaves the verdict to git.
  expect(await wrong.takeCalls()).toEqual([`get ${host}`, `get ${host}`, `erase ${host}`]);
});

test("a download that is cut continues where it was cut", async () => {
  let cuts = 0;
  proxy.fault = (line) => (line.includes(".pack?") && cuts++ < 2 ? { cutAfterBytes: 1_000 } : undefined);
  const ranges: unknown[] = [];
  const { fault } = proxy;
  proxy.fault = (line, request) => {
    if (line.includes(".pack?")) ranges.push(request.headers.range?.replace(/-\d+$/, "-"));
    return fault(line, request);
  };
  const { target, exitCode, isByGit } = await clone();
  expect({ exitCode, isByGit, ranges }).toEqual({
    ...{ exitCode: 0, isByGit: false },
    ranges: ["bytes=0-", "bytes=1000-", "bytes=2000-"],
  });
  await expectSilentFsck(target);
});

test("an address that has expired is asked for again", async () => {
  let isExpired = true;
  proxy.fault = (line) => {
    if (!line.includes(".idx?") || !isExpired) return undefined;
    isExpired = false;
    return { status: 403 };
  };
  const { exitCode, isByGit } = await clone();
  expect({ exitCode, isByGit }).toEqual({ exitCode: 0, isByGit: false });
});

test.each([
  [".pack?", 40, "pack is damaged"],
  [".pack?", -1, "index is another pack's"],
  [".idx?", 1100, "index is damaged"],
  [".idx?", -1, "index is damaged"],
  [".idx?", 1031, "not one of the pack's objects"],
  ["/ref-snapshots/", 50, "list of refs is damaged"],
])("damage in %s at byte %i is refused: %s; and nothing is left behind", async (path, damagedByte, text) => {
  proxy.fault = (line) => (line.includes(path) ? { damagedByte } : undefined);
  const { target, exitCode, stderr } = await clone();
  expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining(text) as string });
  expect(await readdir(dirname(target))).toEqual([]);
});

test.each<[string, { readonly url: () => string; readonly args?: readonly string[] }]>([
  ["of another server", { url: () => `${acme.fake.gitUrl}/acme/site.git` }],
  ["of a folder", { url: () => acme.primary("site") }],
  ["with --depth", { url: () => `${proxy.url}/acme/site.git`, args: ["--depth", "1"] }],
  ["with --filter", { url: () => `${proxy.url}/acme/site.git`, args: ["--filter=tree:0", "--bare"] }],
])("a clone %s is made by git", async (_, { url, args = [] }) => {
  const { target, exitCode, downloads } = await clone({ url: url(), args });
  expect({ exitCode, downloads }).toEqual({ exitCode: 0, downloads: [] });
  expect(await git(["rev-parse", "HEAD"], { cwd: target })).toBe(
    await git(["rev-parse", "HEAD"], { cwd: acme.primary("site") }),
  );
});

test("git's configuration says by which proxy, under which address, and with which headers", async () => {
  const outside = "http://mirror.invalid/acme/site.git";
  const byProxy = await clone({ url: outside, settings: [["http.proxy", proxy.url]] });
  expect(byProxy).toMatchObject({ exitCode: 0, isByGit: false });
  expect(byProxy.downloads).toHaveLength(3);
  const names: unknown[] = [];
  proxy.fault = (line, { headers }) => {
    names.push([
      line.includes("/~blobs/") || line.includes("clone-plan"),
      headers["x-one"],
      headers["x-two"],
    ]);
    return undefined;
  };
  const settings = [
    [`url.${proxy.url}/.insteadOf`, "https://bitbucket.example/"],
    ["http.extraHeader", "X-One: 1"],
    ["http.extraHeader", "X-Two: 2"],
  ] as const;
  const instead = await clone({ url: "https://bitbucket.example/acme/site.git", settings });
  expect(instead).toMatchObject({ exitCode: 0, isByGit: false });
  expect(names.filter((name) => Array.isArray(name) && name[0])).toEqual(Array(4).fill([true, "1", "2"]));
  expect(await git(["config", "remote.origin.url"], { cwd: instead.target })).toBe(
    "https://bitbucket.example/acme/site.git",
  );
});

test("submodules are cloned as well", async () => {
  const cwd = await newTarget();
  await git(["clone", "--quiet", acme.primary("site"), cwd]);
  // The sample's own leads nowhere.
  await git(["rm", "--quiet", "vendor/library"], { cwd });
  await git(["submodule", "--quiet", "add", "-b", "empty-tree", "../site.git", "inner"], { cwd });
  await git(["commit", "--quiet", "--message=submodule"], { cwd });
  await git(["push", "--quiet", "origin", "HEAD:refs/heads/with-submodule"], { cwd });
  await runCli(["wait", "acme/site", "with-submodule", "--mirror-url", mirror.url]);
  const { target, exitCode } = await clone({ args: ["--branch", "with-submodule", "--recurse-submodules"] });
  expect(exitCode).toBe(0);
  await expectSilentFsck(join(target, "inner"));
});

test("a folder with something in it is left as it is", async () => {
  const target = await newTarget();
  await mkdir(target);
  await writeFile(join(target, "mine.txt"), "mine");
  const { exitCode } = await runCli(["clone", "--quiet", `${proxy.url}/acme/site.git`, target], {
    ...isolatedGitEnvironment(),
  });
  expect([exitCode, await readdir(target)]).toEqual([128, ["mine.txt"]]);
});

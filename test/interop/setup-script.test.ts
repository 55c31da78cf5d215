/** `/-/setup.sh`, `nearside client-config` and `nearside wait`: what scripts and machines are set up with. */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, lstat, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { type ServedAcme, serveAcme } from "../support/served-acme.ts";

let served: ServedAcme;
let acme: ServedAcme["acme"];
let mirror: ServedAcme["mirror"];
let script: string;
let homeCount = 0;

beforeAll(async () => {
  served = await serveAcme(1);
  ({ acme, mirror } = served);
  script = join(acme.folder, "setup.sh");
  await writeFile(script, await (await fetch(`${mirror.url}/-/setup.sh`)).text());
});

afterAll(async () => {
  await served.close();
});

interface Home {
  readonly path: string;
  readonly file: string;
  run(program: string, ...args: string[]): Promise<string>;
}

/** @param config - The user's configuration; none unless given. */
async function newHome(config?: string, name = ".gitconfig"): Promise<Home> {
  const path = join(acme.folder, `home-${homeCount++}`);
  const file = join(path, name);
  await mkdir(dirname(file), { recursive: true });
  if (config !== undefined) await writeFile(file, config);
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: path,
    GIT_TERMINAL_PROMPT: "0",
    GIT_CONFIG_NOSYSTEM: "1",
  };
  return {
    ...{ path, file },
    run: async (program, ...args) =>
      (await promisify(execFile)(program, args, { cwd: path, env })).stdout.trim(),
  };
}

const CONFIGS: readonly (readonly [string, string | undefined])[] = [
  ["none", undefined],
  ["an empty one", ""],
  ["a usual one", "[user]\n\tname = Émile\n\temail = e@example.com\n"],
  ["one whose last line has no end", "[core]\n\tpager = less -R"],
  ["one with odd bytes", "# caf\\\tx\r\n[alias]\r\n\tx = !echo \"$1\" '# nearside'\r\n\n\n"],
];

describe.each(CONFIGS)("with %s as git's configuration", (_, config) => {
  test.each([[[]], [["--ssh", "--fast", "--credential", "--username=you"]]])(
    "setup.sh %j and --undo leave it as it was",
    async (options) => {
      const home = await newHome(config);
      const now = async () => (existsSync(home.file) ? readFile(home.file) : undefined);
      const before = await now();
      expect(await home.run("sh", script, "--dry-run", ...options)).toContain("insteadOf");
      expect(await now()).toEqual(before);
      await home.run("sh", script);
      // A second run replaces what the first one added.
      await home.run("sh", script, ...options);
      const url = `${acme.fake.gitUrl}/acme/site.git`;
      await home.run("git", "init", "--quiet", "clone");
      await home.run("git", "-C", "clone", "remote", "add", "origin", url);
      expect(await home.run("git", "-C", "clone", "remote", "get-url", "origin")).toBe(
        `${mirror.url}/acme/site.git`,
      );
      expect(await home.run("git", "-C", "clone", "remote", "get-url", "--push", "origin")).toBe(url);
      await home.run("sh", script, "--undo");
      expect(await now()).toEqual(before);
      await home.run("sh", script, "--undo");
      expect(await now()).toEqual(before);
    },
  );
});

test("what is added later stays, links stay links, and permissions stay", async () => {
  const home = await newHome("[user]\n\tname = U", "dotfiles/gitconfig");
  await symlink(home.file, join(home.path, ".gitconfig"));
  await chmod(home.file, 0o600);
  await home.run("sh", script);
  await home.run("git", "config", "--global", "core.editor", "vi");
  await home.run("sh", script, "--undo");
  expect(await readFile(home.file, "utf8")).toBe("[user]\n\tname = U\n[core]\n\teditor = vi\n");
  expect((await stat(home.file)).mode & 0o777).toBe(0o600);
  expect((await lstat(join(home.path, ".gitconfig"))).isSymbolicLink()).toBe(true);
});

test("the file that git writes is used", async () => {
  const home = await newHome("[user]\n\tname = X\n", ".config/git/config");
  await home.run("sh", script);
  expect(await readFile(home.file, "utf8")).toContain("insteadOf");
});

test("an unknown argument changes nothing", async () => {
  const home = await newHome();
  await expect(home.run("sh", script, "--dryrun")).rejects.toThrow("unknown argument --dryrun");
  await expect(readFile(home.file)).rejects.toThrow("ENOENT");
});

test("existing clones, submodules and LFS files are read from the mirror, with Bitbucket's credential, and pushed to Bitbucket", async () => {
  const { gitUrl } = acme.fake;
  const { host, protocol } = new URL(gitUrl);
  const config =
    '[credential]\n\thelper = store\n[user]\n\tname = W\n\temail = w@example.com\n[protocol "file"]\n\tallow = always\n';
  const home = await newHome(config);
  await writeFile(join(home.path, ".git-credentials"), `${protocol}//wanda:wanda-token@${host}\n`);
  await home.run("git", "clone", "--quiet", `${gitUrl}/acme/vault.git`, "clone");
  await home.run("git", "-C", "clone", "submodule", "--quiet", "add", `${gitUrl}/acme/site.git`, "site");
  await home.run("git", "-C", "clone", "commit", "--quiet", "--all", "--message=submodule");
  const remotes = Array.from({ length: 20 }, (_, n) => `remote-${n}`);
  for (const name of remotes)
    await home.run("git", "-C", "clone", "remote", "add", name, `${gitUrl}/acme/${name}.git`);
  await home.run("sh", script, "--credential");
  acme.fake.controls.clearRequests();
  const fetched = () =>
    acme.fake.controls.requests.filter(
      ({ path, caller }) => path.endsWith("/git-upload-pack") && caller !== "olga",
    );
  for (const name of remotes)
    expect(await home.run("git", "-C", "clone", "remote", "get-url", name)).toBe(
      `${mirror.url}/acme/${name}.git`,
    );
  await home.run("git", "-C", "clone", "fetch", "--quiet", "origin");
  await home.run("git", "clone", "--quiet", `${gitUrl}/acme/site.git`, "again");
  await home.run("git", "-C", "clone", "submodule", "--quiet", "update", "--remote");
  expect(fetched()).toEqual([]);
  await home.run("git", "-C", "clone", "push", "--quiet", "origin", "HEAD");
  const commit = await home.run("git", "-C", "clone", "rev-parse", "HEAD");
  expect(await home.run("git", "--git-dir", acme.primary("vault"), "rev-parse", "HEAD")).toBe(commit);

  // Files of git-lfs go to Bitbucket, and come by the mirror.
  await home.run("git", "-C", "clone", "lfs", "install", "--local");
  await home.run("git", "-C", "clone", "lfs", "track", "*.bin");
  await writeFile(join(home.path, "clone/large.bin"), randomBytes(100_000));
  await home.run("git", "-C", "clone", "add", "--all");
  await home.run("git", "-C", "clone", "commit", "--quiet", "--message=large");
  await home.run("git", "-C", "clone", "push", "--quiet", "origin", "HEAD");
  const latest = await home.run("git", "-C", "clone", "rev-parse", "HEAD");
  const env = { BITBUCKET_EMAIL: "wanda@example.com", BITBUCKET_API_TOKEN: "wanda-token" };
  const waited = await runCli(["wait", "acme/vault", "main", latest, "--mirror-url", mirror.url], env);
  expect(waited).toMatchObject({ exitCode: 0, stdout: `acme/vault: ${latest} is there\n` });
  const byId = await runCli(["wait", "acme/vault", commit, "--mirror-url", mirror.url], env);
  expect(byId).toMatchObject({ exitCode: 0 });
  await home.run("git", "clone", "--quiet", `${gitUrl}/acme/vault.git`, "pulled");
  await home.run("git", "-C", "pulled", "lfs", "install", "--local");
  await home.run("git", "-C", "pulled", "lfs", "pull");
  const [pulled, pushed] = await Promise.all(
    ["pulled", "clone"].map((name) => readFile(join(home.path, name, "large.bin"))),
  );
  expect(pulled).toEqual(pushed);
  expect(await home.run("git", "-C", "pulled", "lfs", "env")).toContain(
    `Endpoint=${mirror.url}/acme/vault.git`,
  );
  await home.run("sh", script, "--undo");
  expect(await readFile(home.file, "utf8")).toBe(config);
});

test("nearside wait says what is not there, and for whom", async () => {
  const at = ["--mirror-url", mirror.url, "--timeout", "1"];
  const missing = await runCli(["wait", "acme/site", "no-such-branch", ...at]);
  expect(missing).toMatchObject({ exitCode: 1, stdout: "" });
  expect(missing.stderr).toContain("no-such-branch is not there after 1 s");
  expect((await runCli(["wait", "acme/vault", "main", ...at])).stderr).toContain("the mirror answered 401");
  expect(await runCli(["wait", "acme/site", "main", "3f2a", ...at])).toMatchObject({ exitCode: 2 });
  const nowhere = await runCli(["wait", "acme/site", "main", "--mirror-url", "http://127.0.0.1:1"]);
  expect(nowhere.stderr).toContain("the mirror at http://127.0.0.1:1 cannot be reached");
});

test("nearside client-config prints what the script adds", async () => {
  const options = ["--fast", "--ssh", "--username", "wanda"];
  const { stdout } = await runCli(["client-config", `${mirror.url}/`, ...options]);
  const withAddress = ["client-config", mirror.url, "--git-url", acme.fake.gitUrl, ...options];
  expect((await runCli(withAddress)).stdout).toBe(stdout);
  const nowhere = await runCli(["client-config", "http://127.0.0.1:1"]);
  expect(nowhere).toMatchObject({ exitCode: 1, stdout: "", stderr: expect.stringContaining("--git-url") });
  expect((await runCli(["client-config", `${mirror.url}/nowhere`])).stderr).toContain(
    "is not a mirror's script",
  );
  const home = await newHome();
  await home.run("sh", script, "--ssh", "--fast", "--username=wanda");
  await home.run("git", "init", "--quiet", "clone");
  const named = `${acme.fake.gitUrl.replace("://", "://wanda@")}/acme/site.git`;
  await home.run("git", "-C", "clone", "remote", "add", "origin", named);
  expect(await home.run("git", "-C", "clone", "remote", "get-url", "origin")).toBe(
    `${mirror.url}/acme/site.git`,
  );
  expect(await home.run("git", "-C", "clone", "remote", "get-url", "--push", "origin")).toBe(named);
  const file = await readFile(home.file, "utf8");
  expect(file.split("\n").slice(1, -2).join("\n")).toBe(stdout.trimEnd());
});

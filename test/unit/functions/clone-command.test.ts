/** `nearside clone` with hostile addresses, servers and surroundings. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { credentialQuestion, givenPlan } from "../../../functions/cli/clone/ask-plan.ts";
import { addCloneOptions, gitCloneArguments } from "../../../functions/cli/clone/clone-options.ts";
import { bodyOf } from "../../../functions/cli/clone/http-client.ts";
import { runCli } from "../../support/cli.ts";
import { makeCredentialHelper } from "../../support/credential-helper.ts";
import { type FileMirror, PLAN_PATH, startFileMirror } from "../../support/file-mirror.ts";
import { git, isolatedGitEnvironment } from "../../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";

let folder: TemporaryFolder;
let mirror: FileMirror;
let cloneCount = 0;

beforeAll(async () => {
  folder = await temporaryFolder();
  const served = join(folder.path, "served");
  await mkdir(served);
  mirror = await startFileMirror(served);
});

beforeEach(() => {
  mirror.answer = () => false;
  mirror.requests.splice(0);
});

afterAll(async () => {
  await mirror[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** A folder of its own, so that what is left behind shows. */
async function newFolder(): Promise<string> {
  const path = join(folder.path, `clones-${cloneCount++}`);
  await mkdir(path);
  return path;
}

/** @returns With the requests for the plan and for its files, which `git clone` does not make. */
async function clone(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const target = join(await newFolder(), "clone");
  mirror.requests.splice(0);
  const whole = ["clone", "--quiet", ...(args.length === 0 ? [mirror.cloneUrl] : args), target];
  const { exitCode, stderr } = await runCli(whole, { ...isolatedGitEnvironment(), ...env });
  const planRequests = mirror.requests.filter(({ url }) => url === PLAN_PATH).length;
  const downloads = mirror.requests.filter(({ headers }) => headers.range !== undefined).length;
  return { target, exitCode, stderr, planRequests, downloads };
}

const BY_PLAN = { exitCode: 0, downloads: 3 };

test.each([
  [
    "https://you@m.example:8443/acme/s%C3%A9.git",
    "protocol=https\nhost=m.example:8443\npath=acme/sé.git\nusername=you\n\n",
  ],
  ["https://a:b%zz@m.example/", "protocol=https\nhost=m.example\nusername=a\npassword=b%zz\n\n"],
  ["https://m.example#@bank.example/x/y", "protocol=https\nhost=m.example\n\n"],
  ["https://m.example\\@bank.example/x/y", "protocol=https\nhost=m.example\npath=@bank.example/x/y\n\n"],
  // `URL` drops the line ends.
  [
    "https://m.example/x/y\nhost=bank.example",
    "protocol=https\nhost=m.example\npath=x/yhost=bank.example\n\n",
  ],
  ["https://m.example/x/y%0Ahost=bank.example", undefined],
  ["https://a%0Dhost=bank.example@m.example/x/y", undefined],
])("git credential is asked about %j with the lines %j", (url, question) => {
  expect(credentialQuestion(url)).toBe(question);
});

test.each(["\nprotocol=https\nhost=bank.example", "%0aprotocol=https%0ahost=bank.example", "\\..\\..\\y"])(
  "an address ending in %j takes no credential out of git's helper",
  async (end) => {
    const credential = { username: "me", password: "secret" };
    const { host } = new URL(mirror.url);
    const helper = await makeCredentialHelper(await newFolder(), {
      [host]: credential,
      "bank.example": credential,
    });
    const [, , , setting = ""] = helper.options;
    mirror.answer = (_, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    };
    const { exitCode } = await clone(["--config", setting, `${mirror.url}/x/y${end}`]);
    expect(exitCode).toBe(128);
    expect(await helper.takeCalls()).not.toContain("get bank.example");
    const sent = mirror.requests.filter(({ headers }) => headers.authorization !== undefined);
    expect(sent.filter(({ url }) => url?.startsWith("/-/"))).toEqual([]);
  },
);

test("a credential that is refused at the plan's address alone stays stored", async () => {
  const { host } = new URL(mirror.url);
  const helper = await makeCredentialHelper(await newFolder(), {
    [host]: { username: "me", password: "valid" },
  });
  const [, , , setting = ""] = helper.options;
  mirror.answer = ({ url }, response) => {
    if (url !== PLAN_PATH) return false;
    response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
    return true;
  };
  expect(await clone(["--config", setting, mirror.cloneUrl])).toMatchObject({
    ...{ exitCode: 0, planRequests: 2, downloads: 0 },
  });
  expect(await helper.takeCalls()).toEqual([`get ${host}`]);
});

test("a plan given over TLS leads to addresses with TLS only, also for pushes", () => {
  const secure = JSON.parse(JSON.stringify(mirror.plan).replaceAll("http://", "https://"));
  const isTaken = (plan: unknown, planUrl: string) => givenPlan(JSON.stringify(plan), planUrl) !== undefined;
  expect(isTaken(secure, "https://m.example/")).toBe(true);
  const { refs, packs, primaryUrl } = mirror.plan;
  for (const part of [{ refs }, { packs }, { primaryUrl }]) {
    expect(isTaken({ ...secure, ...part }, "https://m.example/")).toBe(false);
    expect(isTaken({ ...secure, ...part }, "http://m.example/")).toBe(true);
  }
  const odd = { ...secure, primaryUrl: " HTTPS://Bank.example/a\nb" };
  const taken = givenPlan(JSON.stringify(odd), "https://m.example/");
  expect(taken?.plan.primaryUrl).toBe("https://bank.example/ab");
});

test("variables of the caller's repository, as hooks have them, change nothing", async () => {
  const other = await newFolder();
  await git(["init", "--quiet", other]);
  await git(["config", "http.extraHeader", "X-Other: 1"], { cwd: other });
  const gitDir = join(other, ".git");
  const before = await readdir(gitDir, { recursive: true });
  const env = { GIT_DIR: gitDir, GIT_INDEX_FILE: join(gitDir, "index"), GIT_CONFIG: join(gitDir, "config") };
  for (const kind of ["--no-bare", "--bare"]) {
    const args = kind === "--bare" ? ["--bare", "-c", "safe.bareRepository=explicit"] : [];
    const { target, ...cloned } = await clone([...args, mirror.cloneUrl], env);
    expect(cloned).toMatchObject(BY_PLAN);
    expect(await readdir(gitDir, { recursive: true })).toEqual(before);
    expect(await git(["fsck", "--full"], { cwd: target })).not.toContain("missing");
    expect(await git(["remote", "get-url", "--push", "origin"], { cwd: target })).toBe(
      mirror.plan.primaryUrl,
    );
    expect(mirror.requests.filter(({ headers }) => "x-other" in headers)).toEqual([]);
  }
});

test("where a variable splits the new repository, git clones", async () => {
  const objects = join(await newFolder(), "objects");
  await mkdir(objects);
  const { target, ...cloned } = await clone([], { GIT_OBJECT_DIRECTORY: objects });
  expect(cloned).toMatchObject({ exitCode: 0, planRequests: 0 });
  const workTree = join(await newFolder(), "tree");
  const split = await clone([], { GIT_WORK_TREE: workTree });
  expect(split).toMatchObject({ exitCode: 0, planRequests: 0 });
  expect([existsSync(join(workTree, ".git")), existsSync(join(split.target, "objects"))]).toEqual([
    false,
    true,
  ]);
});

test("an option's empty value stays its own", async () => {
  const command = addCloneOptions(new Command());
  const valued = command.options.filter(({ required }) => required).map(({ long }) => long ?? "");
  command.parse(
    valued.flatMap((name) => [name, ""]),
    { from: "user" },
  );
  expect(valued.length).toBeGreaterThan(7);
  expect(gitCloneArguments(command).toSorted()).toEqual(valued.map((name) => `${name}=`).toSorted());
});

test("an empty value makes no option of the address", async () => {
  const at = await newFolder();
  const [mark, repository] = [join(at, "ran"), join(at, "site.git")];
  await git(["init", "--quiet", "--bare", repository]);
  const args = ["--branch", "", "--", `--upload-pack=touch ${mark};`, repository];
  const { exitCode } = await runCli(["clone", ...args], isolatedGitEnvironment());
  expect([exitCode, existsSync(mark)]).toEqual([128, false]);
});

test("a folder without a name is refused as by git", async () => {
  const { exitCode } = await runCli(["clone", "--quiet", mirror.cloneUrl, ""], isolatedGitEnvironment());
  expect(exitCode).toBe(128);
  expect(mirror.requests.map(({ url }) => url)).not.toContain(PLAN_PATH);
});

/** @returns Resolves when a request has come for which `isAwaited` holds; it gets the first bytes of an answer, or none. */
function stallAt(isAwaited: (url: string) => boolean, firstBytes = ""): Promise<void> {
  return new Promise((resolve) => {
    mirror.answer = ({ url = "", headers }, response) => {
      if (!isAwaited(url)) return false;
      if (firstBytes !== "") {
        const [, range] = /^bytes=(.*)$/.exec(headers.range ?? "") ?? [];
        response.writeHead(206, { "content-range": `bytes ${range}/${mirror.plan.packs[0]?.packBytes}` });
        response.write(firstBytes, () => resolve());
      } else resolve();
      return true;
    };
  });
}

const PROGRAM = fileURLToPath(new URL("../../../functions/cli/nearside.js", import.meta.url));

test.each([
  ["the download", "SIGINT", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["the download", "SIGTERM", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["the download", "SIGHUP", () => stallAt((url) => url.endsWith(".pack"), "PACK")],
  ["git clone", "SIGINT", () => stallAt((url) => url.includes("/info/refs"))],
  ["git clone", "SIGTERM", () => stallAt((url) => url.includes("/info/refs"))],
  ["git clone", "SIGHUP", () => stallAt((url) => url.includes("/info/refs"))],
] as const)("during %s, %s to this process alone leaves nothing behind", async (_, signal, stall) => {
  const target = join(await newFolder(), "clone");
  const stalled = stall();
  const args = [PROGRAM, "clone", "--quiet", mirror.cloneUrl, target];
  const child = spawn(process.execPath, args, { env: isolatedGitEnvironment(), stdio: "ignore" });
  const end = once(child, "close");
  await Promise.race([stalled, end]);
  expect(await readdir(dirname(target))).not.toEqual([]);
  child.kill(signal);
  expect(await end).toEqual([128 + constants.signals[signal], null]);
  expect(await readdir(dirname(target))).toEqual([]);
});

test.each([
  ["is cut", Buffer.from('{"formatVersion'), "the connection broke"],
  ["is not HTTP", Buffer.from("no length\r\n"), "the connection broke"],
  ["never ends", Buffer.alloc(5 * 1024 * 1024, " "), "too long"],
])("where the answer for the plan %s, git clones", async (kind, body, text) => {
  mirror.answer = ({ url }, response) => {
    if (url !== PLAN_PATH) return false;
    if (kind !== "is not HTTP") response.write(body, () => kind === "is cut" && response.destroy());
    else response.socket?.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
    return true;
  };
  const target = join(await newFolder(), "clone");
  const { exitCode, stderr } = await runCli(["clone", mirror.cloneUrl, target], isolatedGitEnvironment());
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.stringContaining(text) as string });
  expect(stderr).toContain("trying git clone");
  expect(existsSync(join(target, ".git"))).toBe(true);
});

test("an error in the middle of a transfer is one to retry, whatever its code", async () => {
  async function* broken() {
    yield Buffer.from("a");
    throw Object.assign(new Error("bad record"), { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" });
  }
  const chunks: string[] = [];
  const read = async () => {
    for await (const chunk of bodyOf(broken())) chunks.push(Buffer.from(chunk).toString());
  };
  await expect(read()).rejects.toMatchObject({ code: "UPSTREAM", retryable: true });
  expect(chunks).toEqual(["a"]);
});

test("a download that breaks in the middle of a chunk continues", async () => {
  let isBroken = false;
  mirror.answer = ({ url = "", headers }, response) => {
    if (!url.endsWith(".pack") || isBroken) return false;
    isBroken = true;
    const [, range] = /^bytes=(.*)$/.exec(headers.range ?? "") ?? [];
    response.socket?.write(
      `HTTP/1.1 206 Partial\r\ntransfer-encoding: chunked\r\ncontent-range: bytes ${range}/${mirror.plan.packs[0]?.packBytes}\r\n\r\n4\r\nPACK\r\nno length\r\n`,
    );
    return true;
  };
  const { exitCode, downloads } = await clone([]);
  expect({ exitCode, downloads }).toEqual({ exitCode: 0, downloads: 4 });
  const ranges = mirror.requests
    .filter(({ url }) => url?.endsWith(".pack"))
    .map(({ headers }) => headers.range);
  expect(ranges.map((range) => range?.split("-")[0])).toEqual(["bytes=0", "bytes=4"]);
});

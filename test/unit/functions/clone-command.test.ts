/** `nearside clone` with hostile addresses, options and surroundings. */
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { credentialQuestion, givenPlan } from "../../../functions/cli/clone/ask-plan.ts";
import { addCloneOptions, gitCloneArguments } from "../../../functions/cli/clone/clone-options.ts";
import { runCli } from "../../support/cli.ts";
import { BY_PLAN, type CloneRig, openCloneRig } from "../../support/clone-rig.ts";
import { makeCredentialHelper } from "../../support/credential-helper.ts";
import { PLAN_PATH } from "../../support/file-mirror.ts";
import { git, isolatedGitEnvironment } from "../../support/git/run-git.ts";

let rig: CloneRig;

beforeAll(async () => {
  rig = await openCloneRig();
});

beforeEach(() => rig.reset());

afterAll(() => rig[Symbol.asyncDispose]());

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
    const { host } = new URL(rig.mirror.url);
    const helper = await makeCredentialHelper(await rig.newFolder(), {
      [host]: credential,
      "bank.example": credential,
    });
    const [, , , setting = ""] = helper.options;
    rig.mirror.answer = (_, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
      return true;
    };
    const { exitCode } = await rig.clone(["--config", setting, `${rig.mirror.url}/x/y${end}`]);
    expect(exitCode).toBe(128);
    expect(await helper.takeCalls()).not.toContain("get bank.example");
    const sent = rig.mirror.requests.filter(({ headers }) => headers.authorization !== undefined);
    expect(sent.filter(({ url }) => url?.startsWith("/-/"))).toEqual([]);
  },
);

test("a credential that is refused at the plan's address alone stays stored", async () => {
  const { host } = new URL(rig.mirror.url);
  const helper = await makeCredentialHelper(await rig.newFolder(), {
    [host]: { username: "me", password: "valid" },
  });
  const [, , , setting = ""] = helper.options;
  rig.mirror.answer = ({ url }, response) => {
    if (url !== PLAN_PATH) return false;
    response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
    return true;
  };
  expect(await rig.clone(["--config", setting, rig.mirror.cloneUrl])).toMatchObject({
    ...{ exitCode: 0, planRequests: 2, downloads: 0 },
  });
  expect(await helper.takeCalls()).toEqual([`get ${host}`]);
});

test("a plan given over TLS leads to addresses with TLS only, also for pushes", () => {
  const secure = JSON.parse(JSON.stringify(rig.mirror.plan).replaceAll("http://", "https://"));
  const isTaken = (plan: unknown, planUrl: string) => givenPlan(JSON.stringify(plan), planUrl) !== undefined;
  expect(isTaken(secure, "https://m.example/")).toBe(true);
  const { refs, packs, primaryUrl } = rig.mirror.plan;
  for (const part of [{ refs }, { packs }, { primaryUrl }]) {
    expect(isTaken({ ...secure, ...part }, "https://m.example/")).toBe(false);
    expect(isTaken({ ...secure, ...part }, "http://m.example/")).toBe(true);
  }
  const odd = { ...secure, primaryUrl: " HTTPS://Bank.example/a\nb" };
  const taken = givenPlan(JSON.stringify(odd), "https://m.example/");
  expect(taken?.plan.primaryUrl).toBe("https://bank.example/ab");
});

test("variables of the caller's repository, as hooks have them, change nothing", async () => {
  const other = await rig.newFolder();
  await git(["init", "--quiet", other]);
  await git(["config", "http.extraHeader", "X-Other: 1"], { cwd: other });
  const gitDir = join(other, ".git");
  const before = await readdir(gitDir, { recursive: true });
  const env = { GIT_DIR: gitDir, GIT_INDEX_FILE: join(gitDir, "index"), GIT_CONFIG: join(gitDir, "config") };
  for (const kind of ["--no-bare", "--bare"]) {
    const args = kind === "--bare" ? ["--bare", "-c", "safe.bareRepository=explicit"] : [];
    const { target, ...cloned } = await rig.clone([...args, rig.mirror.cloneUrl], env);
    expect(cloned).toMatchObject(BY_PLAN);
    expect(await readdir(gitDir, { recursive: true })).toEqual(before);
    expect(await git(["fsck", "--full"], { cwd: target })).not.toContain("missing");
    expect(await git(["remote", "get-url", "--push", "origin"], { cwd: target })).toBe(
      rig.mirror.plan.primaryUrl,
    );
    expect(rig.mirror.requests.filter(({ headers }) => "x-other" in headers)).toEqual([]);
  }
});

test("where a variable splits the new repository, git clones", async () => {
  const objects = join(await rig.newFolder(), "objects");
  await mkdir(objects);
  const { target, ...cloned } = await rig.clone([], { GIT_OBJECT_DIRECTORY: objects });
  expect(cloned).toMatchObject({ exitCode: 0, planRequests: 0 });
  const workTree = join(await rig.newFolder(), "tree");
  const split = await rig.clone([], { GIT_WORK_TREE: workTree });
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
  const at = await rig.newFolder();
  const [mark, repository] = [join(at, "ran"), join(at, "site.git")];
  await git(["init", "--quiet", "--bare", repository]);
  const args = ["--branch", "", "--", `--upload-pack=touch ${mark};`, repository];
  const { exitCode } = await runCli(["clone", ...args], isolatedGitEnvironment());
  expect([exitCode, existsSync(mark)]).toEqual([128, false]);
});

test("a folder without a name is refused as by git", async () => {
  const { exitCode } = await runCli(["clone", "--quiet", rig.mirror.cloneUrl, ""], isolatedGitEnvironment());
  expect(exitCode).toBe(128);
  expect(rig.mirror.requests.map(({ url }) => url)).not.toContain(PLAN_PATH);
});

/** The mirror as a program: arguments, start, restart, end. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type MirrorProcess, spawnMirror, startMirror } from "../support/mirror-process.ts";
import {
  expectSilentFsck,
  listRefs,
  type Primary,
  renameRepository,
  startPrimary,
} from "../support/primary.ts";

let folder: TemporaryFolder;
let primary: Primary;
const started: MirrorProcess[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
  primary = await startPrimary();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((mirror) => mirror.stop("SIGKILL")));
  await primary.close();
  await folder.remove();
});

async function start(args: readonly string[], cwd?: string) {
  const mirror = await startMirror(args, cwd === undefined ? {} : { cwd });
  started.push(mirror);
  return mirror;
}

function spawn(args: readonly string[], env: Record<string, string> = {}): MirrorProcess {
  const mirror = spawnMirror(args, { cwd: folder.path, env });
  started.push(mirror);
  return mirror;
}

test("--help explains and ends well", async () => {
  const { exitCode, stdout, stderr } = await spawn(["--help"]).ended();
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(stdout).toContain("--repository <workspace/slug>");
  expect(stdout).toContain("BITBUCKET_API_TOKEN");
});

test.each([
  [["--port", "70000"], "must be a whole number from 0 to 65535"],
  [["--port", ""], "must be a whole number from 0 to 65535"],
  [["--poll-seconds", "soon"], "must be a number from 0.1 to 86400"],
  [["--repository", "acme"], "two names with a slash"],
  [["--project", "a/b/c"], "two names with a slash"],
  [["--git-url", "bitbucket.org"], "must be an address that begins with"],
  [["--api-url", "ftp://127.0.0.1/"], "must be an address that begins with"],
  [["--host", "localhost"], "must be an IP address"],
  [["--allow-address", "203.0.113.0/33"], "is not a range of addresses"],
  [["--anonymous", "maybe"], "must be one of allow, deny"],
  [["--stale-minutes", "1441"], "must be a whole number from 0 to 1440"],
  [["--nonsense"], "unknown option '--nonsense'"],
  [["surplus"], "too many arguments"],
  [["--store", "s3://"], "must be a folder, or s3://bucket/prefix"],
  [["--s3-endpoint", "http://127.0.0.1:1"], "--s3-endpoint goes with"],
])("wrong arguments %j end with 2 and a line that says why", async (args, text) => {
  const { exitCode, stdout, stderr } = await spawn(args).ended();
  expect(stderr).toContain(text);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
});

test("half a credential ends with 2 and names the variables", async () => {
  const end = await spawn(primary.mirrorArguments, { BITBUCKET_API_TOKEN: "secret-token" }).ended();
  expect(end.exitCode).toBe(2);
  expect(end.stderr).toContain("BITBUCKET_EMAIL and BITBUCKET_API_TOKEN");
  expect(end.stderr).not.toContain("secret-token");
});

test("a busy port ends with 1 and says what to do", async () => {
  const other: Server = createServer();
  const port = await new Promise<number>((resolve) => {
    other.listen(0, "127.0.0.1", () => resolve((other.address() as { port: number }).port));
  });
  try {
    const { exitCode, stderr } = await spawn([...primary.mirrorArguments, "--port", String(port)]).ended();
    expect(stderr).toMatch(
      new RegExp(
        `^nearside: .*EADDRINUSE.*127\\.0\\.0\\.1:${port} \\[EADDRINUSE\\]\\n {2}.*choose another port with --port.*\\n$`,
      ),
    );
    expect(exitCode).toBe(1);
  } finally {
    other.close();
  }
});

test("without arguments it mirrors a sample of its own, and takes a push to it", async () => {
  const cwd = folder.path;
  const mirror = await start([], cwd);
  const [repository] = mirror.repositories;
  expect(repository?.fullName).toBe("acme/sample");
  const pushUrl = `${mirror.primary.gitUrl.replace("://", "://developer:developer@")}/acme/sample.git`;
  const clone = primary.newPath();
  await git(["clone", "--quiet", repository?.cloneUrl ?? "", clone]);
  await expectSilentFsck(clone);
  await git(["commit", "--quiet", "--allow-empty", "--message=mine"], { cwd: clone });
  await git(["push", "--quiet", pushUrl, "HEAD:refs/heads/main"], { cwd: clone });
  await mirror.untilSaid(/acme\/sample: generation 2,/);
  const mine = await git(["rev-parse", "HEAD"], { cwd: clone });
  expect(await git(["ls-remote", repository?.cloneUrl ?? "", "refs/heads/main"])).toContain(mine);
  expect((await mirror.stop()).exitCode).toBe(0);

  const again = await start([], cwd);
  expect(await git(["ls-remote", again.repositories[0]?.cloneUrl ?? "", "refs/heads/main"])).toContain(mine);
  expect(again.stderr()).not.toContain("generation");
});

test("a first start that is cut short leaves no half sample behind", async () => {
  const cwd = folder.path;
  const programs = join(cwd, "programs");
  await mkdir(programs);
  // Makes the repository, then cannot fill it.
  const script = `#!/bin/sh\ncase "$*" in *fast-import*) exit 1;; esac\nPATH=\${PATH#*:} exec git "$@"\n`;
  await writeFile(join(programs, "git"), script, { mode: 0o755 });
  const { PATH = "" } = process.env;
  expect((await spawn([], { PATH: `${programs}:${PATH}` }).ended()).exitCode).toBe(1);
  const mirror = await start([], cwd);
  expect(await listRefs(mirror.repositories[0]?.cloneUrl ?? "")).toContain("refs/heads/main");
});

test("for people it prints the line to clone with", async () => {
  const mirror = spawn([...primary.mirrorArguments, "--port", "0"]);
  await mirror.untilPrinted(/Ctrl-C ends it/);
  const { exitCode, stdout } = await mirror.stop("SIGTERM");
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^The mirror is ready at http:\/\/127\.0\.0\.1:\d+ with 1 repository/);
  expect(stdout).toMatch(/^ {2}git clone http:\/\/127\.0\.0\.1:\d+\/acme\/sample\.git$/m);
});

test("a restart keeps everything, also while the primary is down", async () => {
  const first = await start(primary.mirrorArguments);
  await primary.commit("main", "second.txt", "2\n");
  await first.untilSaid(/generation 2,/);
  // The last yes of the primary counts for some time.
  await listRefs(`${first.url}/acme/sample.git`);
  expect((await first.stop()).exitCode).toBe(0);
  const refs = await listRefs(primary.repository);

  primary.fake.controls.misbehave({ down: true });
  const second = await start(primary.mirrorArguments);
  const cloneUrl = `${second.url}/acme/sample.git`;
  expect(second.repositories).toEqual([{ fullName: "acme/sample", cloneUrl }]);
  expect(await listRefs(cloneUrl)).toBe(refs);
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--mirror", cloneUrl, clone]);
  await expectSilentFsck(clone);

  primary.fake.controls.behave();
  await primary.commit("main", "third.txt", "3\n");
  await second.untilSaid(/generation 3,/);
  expect(await listRefs(cloneUrl)).toBe(await listRefs(primary.repository));
});

test("depth 1 of the default branch is prepared in the store when the mirror says that it is ready", async () => {
  const mirror = await start(primary.mirrorArguments);
  const answers = (await readdir(primary.storeFolder, { recursive: true })).filter((path) =>
    /^answers\/[0-9a-f-]{36}\/[0-9a-f]{64}$/.test(path),
  );
  expect(answers).toHaveLength(2);
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", "--depth=1", `${mirror.url}/acme/sample.git`, clone]);
  await expectSilentFsck(clone);
  expect(mirror.stderr()).not.toContain("answers:");
});

test("while REST is down, what an earlier run has mirrored still follows git", async () => {
  await (await start(primary.mirrorArguments)).stop();
  primary.fake.controls.misbehave({ down: true, appliesTo: "rest" });
  await primary.commit("main", "second.txt", "2\n");
  const again = await start(primary.mirrorArguments);
  await again.untilSaid(/generation 2,/);
  expect(await listRefs(`${again.url}/acme/sample.git`)).toBe(await listRefs(primary.repository));
});

test("a repository renamed meanwhile is served under its new name as well", async () => {
  const { fake, mirrorArguments } = primary;
  const { uuid } = (await (await fetch(`${fake.apiUrl}/repositories/acme/sample`)).json()) as {
    uuid: string;
  };
  const withoutName = mirrorArguments.filter((arg) => arg !== "--repository" && arg !== "acme/sample");
  const mirror = await start([...withoutName, "--workspace", "acme"]);
  expect(mirror.repositories.map(({ fullName }) => fullName)).toEqual(["acme/sample"]);
  fake.controls.replaceAccounts({
    repositories: {
      "*": { public: true },
      "acme/renamed": { uuid: uuid.slice(1, -1), formerNames: ["acme/sample"] },
    },
  });
  const repository = await renameRepository(primary, "renamed");
  await git(["update-ref", "refs/heads/after", "main"], { cwd: repository });
  await mirror.untilSaid(/acme\/renamed: generation 2,/);
  const refs = await listRefs(repository);
  expect(await listRefs(`${mirror.url}/acme/renamed.git`)).toBe(refs);
  expect(await listRefs(`${mirror.url}/acme/sample.git`)).toBe(refs);
});

test("it asks the primary who may read, and keeps to what the command line says of access", async () => {
  const { controls } = primary.fake;
  const callers = [{ name: "rita", token: "rita-secret", rights: { acme: "read" as const } }];
  controls.replaceAccounts({ callers, repositories: { "acme/sample": { public: true } } });
  const mirror = await start([...primary.mirrorArguments, "--push", "refuse", "--anonymous-per-minute", "2"]);
  const ask = async (url: string, service: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/acme/sample.git/info/refs?service=git-${service}`, { headers });
    return `${response.status} ${(await response.text()).split("\n")[0]}`;
  };
  expect(await ask(mirror.url, "receive-pack")).toMatch(/^403 .*git remote set-url --push origin http/);
  for (const status of [200, 200, 429]) expect(await ask(mirror.url, "upload-pack")).toMatch(`${status} `);
  const headers = { authorization: `Basic ${btoa("rita:rita-secret")}` };
  expect(await ask(mirror.url, "upload-pack", headers)).toMatch("200 ");
  const administration = async (url: string) =>
    (await fetch(`${url}/-/admin`, { redirect: "manual" })).headers.get("location");
  expect(await administration(mirror.url)).toBe("/-/sign-in");
  await mirror.stop();

  const strict = await start([...primary.mirrorArguments, "--anonymous", "deny", "--allow-address", "::1"]);
  expect(await ask(strict.url, "upload-pack", headers)).toMatch(
    "403 this mirror does not serve your address",
  );
  await strict.stop();
  const more = ["--public-repositories", "skip", "--administration", "off"];
  const hidden = await start([...primary.mirrorArguments, ...more]);
  expect(hidden.repositories).toEqual([]);
  expect(await administration(hidden.url)).toBeNull();
  expect(await ask(hidden.url, "upload-pack", headers)).toMatch("404 ");
});

test("webhooks are taken from the addresses that are set, whatever addresses are served", async () => {
  const webhooks = ["--webhook-url", "https://mirror.example", "--allow-address", "203.0.113.0/24"];
  const statusWith = async (range: string) => {
    const mirror = await start([...primary.mirrorArguments, ...webhooks, "--webhook-address", range]);
    const response = await fetch(`${mirror.url}/-/webhooks/acme`, { method: "POST", body: "{}" });
    await mirror.stop();
    return response.status;
  };
  expect(await statusWith("203.0.113.0/24")).toBe(403);
  expect(await statusWith("127.0.0.1")).toBe(401);
});

test.each(["git", "rest"] as const)(
  "SIGINT ends it with 0 while the primary keeps it waiting for %s",
  async (appliesTo) => {
    primary.fake.controls.misbehave({ delayMs: 600_000, appliesTo });
    const mirror = spawn(["--json", "--port", "0", ...primary.mirrorArguments]);
    await untilAsked(appliesTo);
    expect(await mirror.stop("SIGINT")).toMatchObject({ exitCode: 0, stdout: "" });
  },
);

async function untilAsked(surface: "git" | "rest"): Promise<void> {
  while (!primary.fake.controls.requests.some((request) => request.surface === surface)) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

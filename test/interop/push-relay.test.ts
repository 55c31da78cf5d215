/** Real git pushes through the mirror: large packs, refusals of Bitbucket's hooks, and what the mirror knows afterwards. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

let rig: LocalMirrorRig;
let clone: string;
let remove: () => Promise<void>;
let primary: string;

beforeEach(async () => {
  rig = await startLocalMirrorRig();
  await rig.create("acme", "app", "CORE");
  await rig.select({ workspace: "acme", credential: "bot", projects: ["CORE"] });
  await rig.settled();
  // What the mirror learns, it learns from the push itself.
  rig.fake.controls.misbehave({ dropWebhooks: true });
  const folder = await temporaryFolder();
  remove = folder.remove;
  clone = join(folder.path, "clone");
  const url = `${rig.server.url.replace("//", "//developer:developer@")}/acme/app.git`;
  await git(["clone", "--quiet", url, clone]);
  primary = rig.primary("acme/app");
});
afterEach(async () => {
  await rig.close();
  await remove();
});

async function commit(content: string | Buffer): Promise<string> {
  await writeFile(join(clone, "file"), content);
  await git(["commit", "--quiet", "--all", "-m", "change"], { cwd: clone });
  return git(["rev-parse", "HEAD"], { cwd: clone });
}

test.each([0, 1, 2])(
  "a push in protocol version %i is at the primary, and served at once",
  async (version) => {
    const id = await commit(`version ${version}`);
    await git(["-c", `protocol.version=${version}`, "push", "--quiet"], { cwd: clone });
    expect(await git(["rev-parse", "main"], { cwd: primary })).toBe(id);
    await rig.mirror.drained();
    expect(await rig.serves("acme/app")).toBe("equal");
  },
);

test("a large pack goes in chunks, after a probe", async () => {
  // It hardly compresses.
  const id = await commit(
    Buffer.from(Array.from({ length: 3_000_000 }, () => Math.floor(Math.random() * 256))),
  );
  rig.fake.controls.clearRequests();
  await git(["-c", "http.postBuffer=65536", "push", "--quiet"], { cwd: clone });
  expect(await git(["rev-parse", "main"], { cwd: primary })).toBe(id);
  const posts = rig.fake.controls.requests.filter(
    ({ service, method }) => service === "git-receive-pack" && method === "POST",
  );
  expect(posts).toHaveLength(2);
});

test("a hook at the primary refuses, and git's user reads why", async () => {
  const hook = join(primary, "hooks/pre-receive");
  await writeFile(hook, "#!/bin/sh\necho 'branch main is protected' >&2\nexit 1\n");
  await chmod(hook, 0o755);
  await commit("refused");
  const { exitCode, stderr } = await tryGit(["push"], { cwd: clone });
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("remote: branch main is protected");
  expect(stderr).toContain("pre-receive hook declined");
});

test("a primary that is away: git says so, and keeps its credential", async () => {
  await commit("later");
  rig.fake.controls.misbehave({ down: true });
  const { exitCode, stderr } = await tryGit(["push"], { cwd: clone });
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("cannot be reached");
  expect(stderr).not.toContain("Authentication failed");
});

/** Real git against a mirror that asks who may read: credential helpers, pushes, and git's messages. */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type CredentialHelper, makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { EXPIRED_HINT } from "../support/guarded-mirror.ts";
import { expectSilentFsck, listRefs } from "../support/primary.ts";
import { useGuardedMirror } from "../support/shared-set-ups.ts";
import { TOKENS } from "../support/test-credentials.ts";

const mirror = useGuardedMirror();
let pathCount = 0;

const newPath = () => join(mirror.folder, `path-${pathCount++}`);
const hostOf = (url: string) => new URL(url).host;

/** Answers for the mirror and for the primary alike, as a user's helper does who has stored the token for both. */
async function helperOf(username: string, password: string): Promise<CredentialHelper> {
  const credential = { username, password };
  return makeCredentialHelper(mirror.folder, {
    [hostOf(mirror.url())]: credential,
    [hostOf(mirror.fake.gitUrl)]: credential,
  });
}

test("a clone asks the helper once, keeps the credential, and a later fetch does not lose it to a refusal", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const host = hostOf(mirror.url());
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  expect(await helper.takeCalls()).toEqual([`get ${host}`, `store ${host}`]);
  await expectSilentFsck(clone);
  await git([...helper.options, "fetch", "--quiet"], { cwd: clone });
  expect(await helper.takeCalls()).toEqual([`get ${host}`, `store ${host}`]);

  const elsewhere = await tryGit([...helper.options, "ls-remote", `${mirror.url()}/acme/nothing.git`]);
  expect(elsewhere.stderr).toContain("not found");
  mirror.fake.controls.misbehave({ down: true });
  mirror.clock.nowMs += 3_600_000;
  const away = await tryGit([...helper.options, "fetch"], { cwd: clone });
  expect(away.stderr).toContain("Bitbucket cannot be reached");
  expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
});

test("a valid credential survives single 401s of the primary, a revoked one is erased", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const host = hostOf(mirror.url());
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  await helper.takeCalls();
  const fetchAgain = () => tryGit([...helper.options, "fetch"], { cwd: clone });

  mirror.fake.controls.misbehave({ unauthorizedEvery: 2 });
  for (let round = 0; round < 3; round++) {
    mirror.clock.nowMs += 60_000;
    expect((await fetchAgain()).exitCode).toBe(0);
    expect(await helper.takeCalls()).toEqual([`get ${host}`, `store ${host}`]);
  }
  expect(mirror.fake.controls.requests.some(({ status }) => status === 401)).toBe(true);

  mirror.fake.controls.behave();
  const callers = (mirror.accounts.callers ?? []).filter(({ name }) => name !== "rita");
  mirror.fake.controls.replaceAccounts({ ...mirror.accounts, callers });
  mirror.clock.nowMs += 60_000;
  expect((await fetchAgain()).stderr).toContain("Authentication failed");
  expect(await helper.takeCalls()).toContain(`erase ${host}`);
});

test("a dead credential is erased from the helper, and its user reads why", async () => {
  const helper = await helperOf("expired", TOKENS.expired);
  const { exitCode, stderr } = await tryGit([
    ...helper.options,
    "ls-remote",
    `${mirror.url()}/acme/vault.git`,
  ]);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain(EXPIRED_HINT);
  expect(await helper.takeCalls()).toContain(`erase ${hostOf(mirror.url())}`);
});

test("a public repository is cloned without a credential, and the helper is left alone", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", "--mirror", `${mirror.url()}/acme/site.git`, clone]);
  expect(await listRefs(clone)).toBe(await listRefs(mirror.primary("site")));
  expect(await helper.takeCalls()).toEqual([]);
});

test("while the primary is away, a clone says how old the permission is", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const url = `${mirror.url()}/acme/vault.git`;
  await git([...helper.options, "ls-remote", url]);
  mirror.fake.controls.misbehave({ down: true });
  mirror.clock.nowMs += 300_000;
  for (const version of [0, 2]) {
    const clone = newPath();
    const options = [...helper.options, "-c", `protocol.version=${version}`, "clone"];
    const { exitCode, stderr } = await tryGit([...options, url, clone]);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      "remote: mirror: Bitbucket could not be asked just now; it allowed you this 300 s ago",
    );
    expect(stderr).not.toContain("nearside:");
    const { stderr: shown } = await tryGit([...options, "--progress", url, newPath()]);
    expect(shown).toMatch(/remote: nearside: refs verified .* ago, stale: primary unreachable/);
    await expectSilentFsck(clone);
  }
});

test("a right that is taken away ends for git within 60 s, and no credential is lost with it", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  mirror.setRights("rita", {});
  const fetchIn = () => tryGit([...helper.options, "fetch"], { cwd: clone });
  mirror.clock.nowMs += 59_000;
  expect((await fetchIn()).exitCode).toBe(0);
  mirror.clock.nowMs += 1_000;
  const { exitCode, stderr } = await fetchIn();
  expect([exitCode === 0, stderr]).toEqual([false, expect.stringContaining("not found")]);
  const again = await tryGit([...helper.options, "clone", `${mirror.url()}/acme/vault.git`, newPath()]);
  expect(again.exitCode).not.toBe(0);
  expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
});

test("a right that is given counts for git at once, or when the last refusal is three seconds old", async () => {
  const helper = await helperOf("stranger", TOKENS.stranger);
  const list = (slug: string) =>
    tryGit([...helper.options, "ls-remote", `${mirror.url()}/acme/${slug}.git`, "refs/heads/main"]);
  expect((await list("vault")).exitCode).not.toBe(0);
  mirror.setRights("stranger", { acme: "read" });
  expect((await list("new-name")).exitCode).toBe(0);
  mirror.clock.nowMs += 3_000;
  expect((await list("vault")).exitCode).toBe(0);
});

test("while the primary is away git goes on for 15 minutes, and then says why it does not", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  mirror.fake.controls.misbehave({ down: true });
  const fetchIn = () => tryGit([...helper.options, "fetch"], { cwd: clone });
  mirror.clock.nowMs += 15 * 60_000 - 1_000;
  expect((await fetchIn()).exitCode).toBe(0);
  mirror.clock.nowMs += 1_000;
  const { exitCode, stderr } = await fetchIn();
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("remote: Bitbucket cannot be reached");
  expect(stderr).toContain("503");
});

test("a push of more than 10 MB goes to the primary, with the credential for its host", async () => {
  const helper = await helperOf("wanda", TOKENS.wanda);
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  await writeFile(join(clone, "large"), randomBytes(11_000_000));
  await git(["add", "large"], { cwd: clone });
  await git(["commit", "--quiet", "--message=Large"], { cwd: clone });
  await helper.takeCalls();
  await git([...helper.options, "push", "--quiet", "origin", "HEAD:refs/heads/large"], { cwd: clone });
  const primaryHost = hostOf(mirror.fake.gitUrl);
  expect(await helper.takeCalls()).toEqual([`get ${primaryHost}`, `store ${primaryHost}`]);
  const pushed = await git(["rev-parse", "refs/heads/large"], { cwd: mirror.primary("vault") });
  expect(pushed).toBe(await git(["rev-parse", "HEAD"], { cwd: clone }));
  await git(["update-ref", "-d", "refs/heads/large"], { cwd: mirror.primary("vault") });
});

test("who may not write there is refused by the primary", async () => {
  const helper = await helperOf("rita", TOKENS.rita);
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  const { exitCode, stderr } = await tryGit([...helper.options, "push", "origin", "HEAD:refs/heads/mine"], {
    cwd: clone,
  });
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("You have no write access");
});

test("a push by a project's key is redirected for readers, and reveals nothing to others", async () => {
  const helper = await helperOf("wanda", TOKENS.wanda);
  const url = `${mirror.url()}/scm/CORE/vault.git`;
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", url, clone]);
  await helper.takeCalls();
  const { stderr } = await tryGit([...helper.options, "push", "origin", "HEAD:refs/heads/by-key"], {
    cwd: clone,
  });
  expect(stderr).toContain(`git remote set-url --push origin ${mirror.fake.gitUrl}/acme/vault.git`);
  expect((await helper.takeCalls()).filter((call) => call.startsWith("erase"))).toEqual([]);
  const response = await fetch(`${url}/info/refs?service=git-receive-pack`, { redirect: "manual" });
  expect([response.status, await response.text()]).toEqual([401, "log in with your Bitbucket credential\n"]);
});

test("where pushes are refused, git prints the line that sets the other address", async () => {
  const helper = await helperOf("wanda", TOKENS.wanda);
  const refusing = await mirror.restarted({ push: "refuse" });
  const clone = newPath();
  await git([...helper.options, "clone", "--quiet", `${mirror.url()}/acme/vault.git`, clone]);
  await git(["remote", "set-url", "origin", `${refusing.url}/acme/vault.git`], { cwd: clone });
  const { exitCode, stderr } = await tryGit(["push", "origin", "HEAD:refs/heads/mine"], { cwd: clone });
  expect(exitCode).not.toBe(0);
  const command = /git (remote set-url --push origin \S+)/.exec(stderr)?.[1];
  expect(command).toBe(`remote set-url --push origin ${mirror.fake.gitUrl}/acme/vault.git`);
  await git(command?.split(" ") ?? [], { cwd: clone });
  await git([...helper.options, "push", "--quiet", "origin", "HEAD:refs/heads/mine"], { cwd: clone });
  await git(["update-ref", "-d", "refs/heads/mine"], { cwd: mirror.primary("vault") });
});

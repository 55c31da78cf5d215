/** Each switch to misbehave, seen from a client. */
import { join } from "node:path";
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

const INFO_REFS = "acme/site.git/info/refs?service=git-upload-pack";

async function askGit(headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${acme.fake.gitUrl}/${INFO_REFS}`, { headers });
}

async function askRest(): Promise<Response> {
  return fetch(`${acme.fake.apiUrl}/repositories/acme/site`);
}

async function setControls(body: string, name = "controls"): Promise<Response> {
  return fetch(`${acme.fake.url}/-/${name}`, { method: "PUT", body });
}

test("a delayed answer waits while others go out, and its caller may leave", async () => {
  acme.fake.controls.misbehave({ delayMs: 600_000, appliesTo: "git" });
  const leaving = new AbortController();
  const outcome = fetch(`${acme.fake.gitUrl}/${INFO_REFS}`, { signal: leaving.signal }).then(
    () => "answered",
    () => "left",
  );
  expect((await askRest()).status).toBe(200);
  leaving.abort();
  expect(await outcome).toBe("left");
});

test("every second request that is allowed is refused; others are not counted", async () => {
  acme.fake.controls.misbehave({ unauthorizedEvery: 2 });
  const statuses: number[] = [];
  for (let i = 0; i < 4; i++) {
    statuses.push((await askGit()).status);
    await fetch(`${acme.fake.gitUrl}/acme/vault.git/info/refs?service=git-upload-pack`);
  }
  expect(statuses).toEqual([200, 401, 200, 401]);
});

test("a rate limit names the time to wait, and ends after the requests it was set for", async () => {
  acme.fake.controls.misbehave({ rateLimitedForSeconds: 7, requestsLeft: 2 });
  const [byGit, byRest] = [await askGit(), await askRest()];
  expect([byGit.status, byGit.headers.get("retry-after")]).toEqual([429, "7"]);
  expect([byRest.status, byRest.headers.get("retry-after")]).toEqual([429, "7"]);
  expect(await byRest.json()).toMatchObject({ type: "error", error: { message: expect.any(String) } });
  expect((await askRest()).status).toBe(200);
});

test("a server error can be for REST only", async () => {
  acme.fake.controls.misbehave({ failWithStatus: 503, appliesTo: "rest" });
  expect((await askRest()).status).toBe(503);
  expect((await askGit()).status).toBe(200);
});

test("a cut stream breaks the connection within the limit, and a clone fails until it is whole again", async () => {
  acme.fake.controls.misbehave({ cutAfterBytes: 100 });
  const response = await askGit();
  let receivedBytes = 0;
  const reading = (async () => {
    for await (const chunk of response.body ?? []) receivedBytes += chunk.length;
  })();
  await expect(reading).rejects.toThrow();
  expect(receivedBytes).toBeLessThanOrEqual(100);

  acme.fake.controls.misbehave({ cutAfterBytes: 5_000 });
  const url = `${acme.fake.gitUrl}/acme/site.git`;
  const target = join(acme.folder, "target");
  expect((await tryGit(["clone", "--quiet", url, target])).exitCode).not.toBe(0);
  acme.fake.controls.behave();
  await git(["clone", "--quiet", url, target]);
});

test("protocol 0 can be forced on a client that asks for 2", async () => {
  const version2 = { "Git-Protocol": "version=2" };
  expect(await (await askGit(version2)).text()).toContain("version 2");
  acme.fake.controls.misbehave({ forceProtocolV0: true });
  expect(await (await askGit(version2)).text()).toContain("symref=HEAD:refs/heads/main");
  const target = join(acme.folder, "target");
  await git(["-c", "protocol.version=2", "clone", "--quiet", `${acme.fake.gitUrl}/acme/site.git`, target]);
});

test("when down it breaks every connection, but a control brings it back", async () => {
  expect((await setControls('{"down":true}')).status).toBe(200);
  await expect(askGit()).rejects.toThrow();
  await expect(askRest()).rejects.toThrow();
  expect((await setControls('{"down":false}')).status).toBe(200);
  expect((await askGit()).status).toBe(200);
});

test("an unknown switch is refused and changes nothing", async () => {
  expect((await setControls('{"down":true,"explode":true}')).status).toBe(400);
  expect((await setControls("{")).status).toBe(400);
  expect((await fetch(`${acme.fake.url}/-/controls`)).status).toBe(200);
  expect(acme.fake.controls.misbehaviour.down).toBe(false);
});

test("the switches of git-lfs's side", async () => {
  expect((await setControls('{"locks":true}', "lfs")).status).toBe(200);
  expect(await (await fetch(`${acme.fake.url}/-/lfs`)).json()).toMatchObject({
    locks: true,
    linkSeconds: 300,
  });
  expect((await setControls('{"explode":true}', "lfs")).status).toBe(400);
  acme.fake.lfs.reset();
});

test("requests are listed with service, caller and status", async () => {
  await git(["ls-remote", acme.gitUrlAs("rita:rita-token", "acme/vault")]);
  const listed = await (await fetch(`${acme.fake.url}/-/requests`)).json();
  expect(listed).toEqual([
    expect.objectContaining({ method: "GET", path: "/acme/vault/info/refs", status: 401 }),
    expect.objectContaining({ service: "git-upload-pack", caller: "rita", status: 200 }),
    expect.objectContaining({ method: "POST", path: "/acme/vault/git-upload-pack", caller: "rita" }),
  ]);
  await fetch(`${acme.fake.url}/-/requests`, { method: "DELETE" });
  expect(acme.fake.controls.requests).toEqual([]);
});

test("a right taken away is gone at the next request", async () => {
  const url = acme.gitUrlAs("rita:rita-token", "acme/vault");
  await git(["ls-remote", url]);
  const callers = acme.fake.controls.accounts.callers.map((caller) => ({ ...caller, rights: {} }));
  acme.fake.controls.replaceAccounts({ callers });
  expect((await tryGit(["ls-remote", url])).stderr).toContain("not found");
});

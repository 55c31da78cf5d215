/** Large repositories are served by a tier without limits, to which git is redirected with a token in the path. */
import { beforeEach, describe, expect, test } from "vitest";
import { git, tryGit } from "../support/git/run-git.ts";
import { COMMIT_COUNT, largeRig, TIER_KEY } from "../support/large-rig.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";

const MINUTE_MS = 60_000;
const rig = largeRig();

describe("the stream tier", () => {
  beforeEach(() => {
    rig.tierUrl = rig.tier.url;
  });

  test("serves whole clones, shallow ones and fetches of large repositories, at once", async () => {
    const target = rig.primary.newPath();
    const { stderr } = await tryGit(["clone", "--mirror", rig.urlOf(), target]);
    expect(stderr).toMatch(/warning: redirecting to http:\/\/127\.0\.0\.1:\d+\/-\/t\//);
    expect(await refsOf(target)).toBe(await refsOf(rig.primary.repository));
    await expectSilentFsck(target);
    expect(await git(["remote", "get-url", "origin"], { cwd: target })).toBe(rig.urlOf());
    const shallow = rig.primary.newPath();
    await git(["clone", "--quiet", "--depth", "1", rig.urlOf(), shallow]);
    await git(["fetch", "--quiet", "--unshallow"], { cwd: shallow });
    expect(await git(["rev-list", "--count", "HEAD"], { cwd: shallow })).toBe(String(COMMIT_COUNT));
    expect(rig.tierRequests.filter((line) => line.endsWith("/git-upload-pack")).length).toBeGreaterThan(5);
    expect(rig.primaryRequests()).toEqual([]);
  });

  test("serves a caller with a credential, whom git makes send it there or not", async () => {
    const url = rig.urlOf().replace("://", "://developer:secret@");
    const target = rig.primary.newPath();
    await git(["clone", "--quiet", "--mirror", url, target]);
    expect(await refsOf(target)).toBe(await refsOf(rig.primary.repository));
    const header = `http.extraHeader=Authorization: Basic ${Buffer.from("a:b").toString("base64")}`;
    await git(["-c", header, "clone", "--quiet", "--mirror", rig.urlOf(), rig.primary.newPath()]);
  });

  test("gets no small repository", async () => {
    rig.thresholdBytes = 1_000_000;
    await git(["clone", "--quiet", "--depth", "1", rig.urlOf(), rig.primary.newPath()]);
    expect(rig.tierRequests).toEqual([]);
  });

  test("leaves no token in a log", async () => {
    await git(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    const tokens = rig.tierRequests.flatMap((line) => /\/-\/t\/([^/]+)/.exec(line)?.[1] ?? []);
    expect(tokens.length).toBeGreaterThan(1);
    expect(rig.logged.join("\n")).toContain('"verdict":"tier-token"');
    for (const token of tokens) expect(rig.logged.join("\n")).not.toContain(token);
  });

  test("that is away is not used: what fits is sent from here, and the rest as without it", async () => {
    // Nothing listens there.
    rig.tierUrl = "http://127.0.0.1:1";
    rig.nowMs += MINUTE_MS;
    await git(["clone", "--quiet", "--depth", "1", rig.urlOf(), rig.primary.newPath()]);
    expect((await tryGit(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()])).stderr).toContain(
      "remote error",
    );
    await git(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    expect(rig.primaryRequests()).toContain("/acme/sample.git/git-upload-pack");
    rig.tierUrl = rig.tier.url;
    rig.nowMs += MINUTE_MS;
    await git(["clone", "--quiet", rig.urlOf(), rig.primary.newPath()]);
    expect(rig.tierRequests.some((line) => line.endsWith("/git-upload-pack"))).toBe(true);
  });

  test("takes the load balancer's question for its health, and nothing without a token", async () => {
    expect((await fetch(`${rig.tier.url}/-/health`)).status).toBe(200);
    for (const path of [
      "/acme/sample.git",
      "/-/t/x/acme/sample.git",
      "/-/t/acme",
      "/-/t/a.b/acme/sample.git",
    ])
      expect((await fetch(`${rig.tier.url}${path}/info/refs?service=git-upload-pack`)).status).toBe(403);
  });
});

describe("a token of the stream tier", () => {
  const credential = `Basic ${Buffer.from("dev:token").toString("base64")}`;

  beforeEach(() => {
    rig.tierUrl = rig.tier.url;
  });

  async function location(authorization?: string): Promise<string> {
    const response = await fetch(`${rig.urlOf()}/info/refs?service=git-upload-pack`, {
      redirect: "manual",
      ...(authorization !== undefined && { headers: { authorization } }),
    });
    expect(response.status).toBe(307);
    await response.body?.cancel();
    return response.headers.get("location") ?? "";
  }

  async function statusOf(url: string, init: RequestInit = {}): Promise<number> {
    const response = await fetch(url, init);
    await response.body?.cancel();
    return response.status;
  }

  const git2 = { "git-protocol": "version=2" };

  /** A request of git's protocol version 2. */
  const command = (url: string, name: string): Promise<number> =>
    statusOf(url.replace("/info/refs?service=git-upload-pack", "/git-upload-pack"), {
      method: "POST",
      headers: { ...git2, "content-type": "application/x-git-upload-pack-request" },
      body: `${(name.length + 13).toString(16).padStart(4, "0")}command=${name}\n0000`,
    });

  test("admits its caller to refs for a minute, and to fetches for the hour that bundles may take", async () => {
    const url = await location(credential);
    expect(await statusOf(url, { headers: git2 })).toBe(200);
    expect(await statusOf(url, { headers: { ...git2, authorization: credential } })).toBe(200);
    rig.nowMs += MINUTE_MS - 1;
    expect(await statusOf(url, { headers: git2 })).toBe(200);
    rig.nowMs += 2;
    expect(await statusOf(url, { headers: git2 })).toBe(403);
    expect(await command(url, "ls-refs")).toBe(200);
    expect(await command(url.replace("/acme/sample.git", "/acme/other.git"), "ls-refs")).toBe(403);
    rig.nowMs += 59 * MINUTE_MS - 1;
    expect(await command(url, "ls-refs")).toBe(200);
    rig.nowMs += 1;
    expect(await command(url, "ls-refs")).toBe(403);
  });

  test("does not admit another caller's credential, nor any where it was given to none", async () => {
    const other = `Basic ${Buffer.from("mallory:token").toString("base64")}`;
    expect(await statusOf(await location(credential), { headers: { authorization: other } })).toBe(403);
    expect(await statusOf(await location(), { headers: { authorization: credential } })).toBe(403);
  });

  test("opens no other repository, no push and no other service", async () => {
    const url = await location(credential);
    const cases = [
      url.replace("/acme/sample.git", "/acme/other.git"),
      url.replace("service=git-upload-pack", "service=git-receive-pack"),
      url.replace("/info/refs?service=git-upload-pack", "/info/lfs/objects/batch"),
    ];
    for (const wrong of cases) {
      expect(wrong).not.toBe(url);
      expect(await statusOf(wrong)).toBe(403);
    }
    const push = url.replace("/info/refs?service=git-upload-pack", "/git-receive-pack");
    expect(await statusOf(push, { method: "POST" })).toBe(403);
  });

  test("cannot be changed or made", async () => {
    const url = await location(credential);
    const [, token = ""] = /\/-\/t\/([^/]+)/.exec(url) ?? [];
    const [grant = "", mac = ""] = token.split(".");
    const later = JSON.stringify({
      ...JSON.parse(Buffer.from(grant, "base64url").toString()),
      expiresAtMs: rig.nowMs + 10 * MINUTE_MS,
    });
    const forged = [
      `${Buffer.from(later).toString("base64url")}.${mac}`,
      `${grant}.`,
      `${grant}.${"A".repeat(43)}`,
      `${token}.x`,
    ];
    for (const other of forged) expect(await statusOf(url.replace(token, other))).toBe(403);
  });

  test("is accepted by each server that has its key, while keys are changed as well", async () => {
    const url = await location();
    const path = url.slice(rig.tier.url.length);
    const servers = await Promise.all(
      [`${"n".repeat(32)},${TIER_KEY}`, `${TIER_KEY},${"n".repeat(32)}`, "n".repeat(32)].map((keys) =>
        rig.startTier(keys),
      ),
    );
    const statuses = await Promise.all(servers.map((server) => statusOf(`${server.url}${path}`)));
    await Promise.all(servers.map((server) => server.close()));
    expect(statuses).toEqual([200, 200, 403]);
  });
});

/** What is asked for just after it was pushed, before the mirror has it. Webhooks are lost unless said otherwise. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { git } from "../support/git/run-git.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

/** In each of two tests. More of them: `NEARSIDE_RACES=250`. */
const RACES = Number(process.env["NEARSIDE_RACES"] ?? 14);

const KINDS = ["branch", "tag", "id", "id-v0", "moved", "forced", "moved-tag"] as const;
type Kind = (typeof KINDS)[number];

const UNKNOWN_ID = "0123456789".repeat(4);

let rig: LocalMirrorRig;
let folder: TemporaryFolder;
/** A developer's clone of the primary, to push from, and one of the mirror. */
let author: string;
let client: string;

beforeAll(async () => {
  [rig, folder] = await Promise.all([startLocalMirrorRig(), temporaryFolder()]);
  await rig.create("acme", "app", "CORE");
  await rig.select({ workspace: "acme", credential: "bot", projects: "all" });
  author = join(folder.path, "author");
  client = join(folder.path, "client");
  const primary = rig.fake.gitUrl.replace("://", "://developer:developer@");
  await git(["clone", "--quiet", `${primary}/acme/app.git`, author]);
  await git(["clone", "--quiet", `${rig.server.url}/acme/app.git`, client]);
});

afterAll(async () => {
  await rig.close();
  await folder.remove();
});

/** @param parent - Another one than the ref has now moves it to the side. */
async function push(to: string, parent = "HEAD"): Promise<string> {
  const commit = await git(["commit-tree", "HEAD^{tree}", "-p", parent, "-m", randomUUID()], { cwd: author });
  await git(["push", "--quiet", "--force", "origin", `${commit}:${to}`], { cwd: author });
  return commit;
}

async function fetched(...what: string[]): Promise<string> {
  await git(["fetch", "--quiet", "origin", ...what], { cwd: client });
  return git(["rev-parse", "FETCH_HEAD"], { cwd: client });
}

/** Requests for the repository, by its name or its uuid, which the mirror uses. */
function asked(method: "GET" | "POST", what: "info/refs" | "git-upload-pack"): number {
  const path = new RegExp(`^/acme/(app|%7B[0-9a-f-]{36}%7D)\\.git/${what}$`);
  return rig.fake.controls.requests.filter((one) => one.method === method && path.test(one.path)).length;
}

/** How often the primary was asked for its refs by the mirror. */
function listings(): number {
  return asked("POST", "git-upload-pack");
}

describe.each([
  ["webhooks come", false],
  ["all webhooks are lost", true],
] as const)("a client asks for what was pushed within the last 50 ms; %s", (_how, dropWebhooks) => {
  beforeAll(() => rig.fake.controls.misbehave({ dropWebhooks }));
  afterAll(() => rig.fake.controls.behave());

  /** Where the branch that moves on is. */
  let last = "HEAD";

  /** @returns What it was pushed to, and the commit. */
  async function pushFor(kind: Kind, name: string): Promise<readonly [ref: string, commit: string]> {
    switch (kind) {
      case "tag":
        return [`refs/tags/${name}`, await push(`refs/tags/${name}`)];
      case "moved":
        last = await push("refs/heads/moves-on", last);
        return ["refs/heads/moves-on", last];
      case "forced":
        return ["refs/heads/forced", await push("refs/heads/forced")];
      case "moved-tag":
        return ["refs/tags/moved", await push("refs/tags/moved")];
      case "branch":
      case "id":
      case "id-v0":
        return [`refs/heads/${name}`, await push(`refs/heads/${name}`)];
    }
  }

  test(`${RACES} times, over branches, tags and ids, new and moved, in each protocol version: no failure`, {
    timeout: 240_000 + RACES * 4000,
  }, async () => {
    for (let race = 0; race < RACES; race++) {
      const name = `${dropWebhooks ? "lost" : "sent"}-${race}`;
      const kind = KINDS[race % KINDS.length] ?? "id";
      const [ref, commit] = await pushFor(kind, name);
      await new Promise((resolve) => setTimeout(resolve, (race * 7) % 50));
      if (kind === "id-v0") {
        await git(["-c", "protocol.version=0", "fetch", "--quiet", "origin", commit], { cwd: client });
        expect(await git(["cat-file", "-t", commit], { cwd: client })).toBe("commit");
        continue;
      }
      // A known name says nothing of the push. After its event the mirror gives the new value; else the id is asked for.
      const isMoved = kind === "moved" || kind === "forced" || kind === "moved-tag";
      if (isMoved && !dropWebhooks) await rig.fake.controls.settled();
      const isById = kind === "id" || (isMoved && dropWebhooks);
      expect(await fetched(isById ? commit : ref), `${name}, ${kind}`).toBe(commit);
    }
    await git(["fsck", "--strict", "--connectivity-only"], { cwd: client });
  });
});

test("a branch that moved, its webhook has come: the next listing of refs has the new commit", async () => {
  for (let count = 0; count < 3; count++) {
    const commit = await push("refs/heads/moving");
    await rig.fake.controls.settled();
    const version = count;
    await git(["-c", `protocol.version=${version}`, "fetch", "--quiet", "origin", "moving"], { cwd: client });
    expect(await git(["rev-parse", "FETCH_HEAD"], { cwd: client })).toBe(commit);
    await git(["push", "--quiet", "--delete", "origin", "moving"], { cwd: author });
  }
});

test("what the primary has not either is refused, after one look", async () => {
  await rig.settled();
  rig.fake.controls.clearRequests();
  await expect(fetched(UNKNOWN_ID)).rejects.toThrow(/not our ref/);
  expect(listings()).toBe(1);
  await expect(fetched("no-such-branch")).rejects.toThrow(/couldn't find remote ref/);
  expect(listings()).toBe(2);
});

test("40 clients at once for what is not here cause two syncs at the most", async () => {
  rig.fake.controls.misbehave({ dropWebhooks: true });
  const commit = await push("refs/heads/wanted-by-many");
  await rig.settled();
  rig.fake.controls.clearRequests();
  const answers = Array.from({ length: 40 }, async () => {
    const response = await fetch(`${rig.server.url}/acme/app.git/git-upload-pack`, {
      method: "POST",
      headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
      body: `0011command=fetch00010032want ${commit}\n0009done\n0000`,
    });
    return Buffer.from(await response.arrayBuffer()).toString("latin1");
  });
  for (const answer of await Promise.all(answers)) expect(answer).toContain("packfile");
  // One for the refs; the accesses of 40 callers without a credential are asked for once.
  expect(asked("GET", "info/refs")).toBeLessThanOrEqual(3);
  // Refs and the pack, and perhaps refs again.
  expect(listings()).toBeLessThanOrEqual(3);
  expect(listings()).toBeGreaterThanOrEqual(2);
  rig.fake.controls.behave();
});

describe("the wait address", () => {
  const ask = (query: string) => fetch(`${rig.server.url}/-/repositories/acme/app/wait?${query}`);

  test("answers once the mirror has it, by ref, by id, or both", async () => {
    rig.fake.controls.misbehave({ dropWebhooks: true });
    const asked = ask("ref=refs/heads/awaited&timeout=60");
    const commit = await push("refs/heads/awaited");
    expect((await asked).status).toBe(200);
    expect(await git(["ls-remote", `${rig.server.url}/acme/app.git`, "awaited"])).toContain(commit);
    const later = await push("refs/heads/later");
    const answer = await ask(`id=${later}&ref=refs/heads/later`);
    expect(await answer.json()).toEqual({ isThere: true, verifiedAt: expect.stringMatching(/Z$/) });
    expect((await ask(`id=${commit}`)).status).toBe(200);
    rig.fake.controls.behave();
  });

  test("says so when the time is up, and which argument it needs", async () => {
    const answer = await ask(`id=${UNKNOWN_ID}&timeout=1`);
    expect([answer.status, await answer.json()]).toMatchObject([504, { isThere: false }]);
    for (const wrong of ["", "id=abc", "ref=refs/heads/main&timeout=-1", "ref=refs/heads/main&timeout=241"]) {
      expect((await ask(wrong)).status, wrong).toBe(400);
    }
  });

  test("status says when the refs were verified; both check access, as git does", async () => {
    const status = await fetch(`${rig.server.url}/-/repositories/acme/app/status`);
    const refs = await fetch(`${rig.server.url}/acme/app.git/info/refs?service=git-upload-pack`);
    expect(await status.json()).toMatchObject({
      verifiedAt: refs.headers.get("x-nearside-verified"),
      state: "AVAILABLE",
      generation: expect.any(Number),
      lastSyncAt: expect.any(String),
      failedSyncCount: 0,
      hashes: { content: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
    for (const what of ["status", "wait?id=1"]) {
      const answer = await fetch(`${rig.server.url}/-/repositories/acme/other/${what}`);
      expect(answer.status).toBe(401);
    }
  });
});

test("an unknown id is asked about twice a minute for a token; another job with it gets what was just pushed", async () => {
  rig.fake.controls.misbehave({ dropWebhooks: true });
  const authorization = `Basic ${btoa("developer:developer")}`;
  const want = async (id: string, headers: Readonly<Record<string, string>> = {}) => {
    const response = await fetch(`${rig.server.url}/acme/app.git/git-upload-pack`, {
      method: "POST",
      headers: {
        "content-type": "application/x-git-upload-pack-request",
        "git-protocol": "version=2",
        ...headers,
      },
      body: `0011command=fetch00010032want ${id}\n0009done\n0000`,
    });
    return Buffer.from(await response.arrayBuffer()).toString("latin1");
  };
  await rig.settled();
  rig.fake.controls.clearRequests();
  const id = randomUUID().replaceAll("-", "").padEnd(40, "0");
  const answers: string[] = [];
  for (let count = 0; count < 30; count++) answers.push(await want(id, { authorization }));
  for (const answer of answers) expect(answer).toContain(`not our ref ${id}`);
  expect(answers[0]).not.toContain("Bitbucket");
  expect(answers.at(-1)).toContain(
    "Bitbucket did not have it when asked a moment ago, try again in a minute",
  );
  // On a slow machine the requests take more than a minute.
  expect(listings()).toBeLessThanOrEqual(4);
  const commit = await push("refs/heads/wanted-after");
  expect(await want(commit, { authorization })).toContain("packfile");
  rig.fake.controls.behave();
});

test("git says why a ref that Bitbucket lacked a moment ago was not looked for, and takes patterns that match nothing", async () => {
  // Its own: looks of the tests before count for the same caller.
  const own = await startLocalMirrorRig();
  try {
    await own.create("acme", "app", "CORE");
    await own.select({ workspace: "acme", credential: "bot", projects: "all" });
    const fetchOwn = (what: string) =>
      git(["fetch", "--quiet", `${own.server.url}/acme/app.git`, what], { cwd: client });
    for (let count = 0; count < 2; count++)
      await expect(fetchOwn("nowhere-at-all")).rejects.toThrow(/couldn't find remote ref/);
    await expect(fetchOwn("nowhere-at-all")).rejects.toThrow(
      /no ref nowhere-at-all here: Bitbucket did not have it when asked a moment ago, try again in a minute/,
    );
    for (let count = 0; count < 3; count++) await fetchOwn("refs/heads/nowhere-*:refs/remotes/nowhere-*");
  } finally {
    await own.close();
  }
});

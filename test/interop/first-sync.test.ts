/** Real git asks for what is selected and not mirrored yet: it is sent on to the primary, or waits for the first sync. */
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readName } from "../../lib/repo/names.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { CREDENTIALS, type GuardedMirror, startGuardedMirror } from "../support/guarded-mirror.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";
import { reserve } from "../support/named-repository.ts";
import { listRefs } from "../support/primary.ts";
import { reserveUnmirrored, syncUnmirrored, UNMIRRORED_UUID } from "../support/unmirrored-repository.ts";

const READER = CREDENTIALS["API token of a reader, fixed username"];
const STRANGER = CREDENTIALS["API token without rights"];
const INFO_REFS = "/acme/unmirrored.git/info/refs?service=git-upload-pack";

describe("to git", () => {
  let mirror: GuardedMirror;
  let jobs: string[];
  /** Whether the sync that a request asks for is done. */
  let syncs: boolean;

  beforeEach(async () => {
    jobs = [];
    syncs = false;
    mirror = await startGuardedMirror({
      waitMs: 300,
      requests: {
        request: async (requested) => {
          jobs.push(...requested.map(({ eventId }) => eventId));
          if (syncs) void syncUnmirrored(mirror);
        },
      },
    });
    await reserveUnmirrored(mirror);
  });
  afterEach(() => mirror.close());

  /** Another host than the primary's, for git as well. */
  const mirrorUrl = () => mirror.url().replace("127.0.0.1", "localhost");

  test("who shows a credential waits for the sync, and gets the repository from the mirror", async () => {
    syncs = true;
    mirror = Object.assign(mirror, { url: () => waiting.url });
    const waiting = await mirror.restarted({ waitMs: 60_000 });
    const clone = join(mirror.folder, "clone");
    const header = `http.extraHeader=Authorization: ${READER}`;
    await git(["-c", header, "clone", "--quiet", "--mirror", `${waiting.url}/acme/unmirrored.git`, clone]);
    expect(await listRefs(clone)).toBe(await listRefs(mirror.primary("unmirrored")));
    const entry = await readName(mirror.store, "acme", "unmirrored");
    expect(entry).toMatchObject({
      uuid: UNMIRRORED_UUID,
      isPublic: false,
      isFormer: false,
      foundBy: "unknown",
    });
  });

  test("a sync that takes too long: git says where the repository is meanwhile, and keeps the credential", async () => {
    const answer = await mirror.get(INFO_REFS, READER);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "60"]);
    expect(answer.headers.get("content-type")).toContain("text/plain");
    const repositoryUrl = `${mirror.fake.gitUrl}/acme/unmirrored.git`;
    expect(await answer.text()).toBe(
      `this repository is being mirrored for the first time; meanwhile it is at ${repositoryUrl}\n`,
    );
    const url = `${mirrorUrl()}/acme/unmirrored.git`;
    const { stderr } = await tryGit(["-c", `http.extraHeader=Authorization: ${READER}`, "ls-remote", url]);
    expect(stderr).toContain(repositoryUrl);
  });

  test("a yes from before the first sync is none for what came with it: the refs are compared", async () => {
    expect((await mirror.get(INFO_REFS, READER)).status).toBe(503);
    await syncUnmirrored(mirror);
    const cwd = mirror.primary("unmirrored");
    const before = await git(["rev-parse", "main"], { cwd });
    const id = await git(["commit-tree", "main^{tree}", "-m", "of another"], { cwd });
    await git(["update-ref", "refs/heads/main", id], { cwd });
    const answer = await mirror.get(INFO_REFS, READER);
    await git(["update-ref", "refs/heads/main", before], { cwd });
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("shows other refs")]);
  });

  test("who may not read there hears nothing", async () => {
    const nothing = await mirror.get("/acme/nothing.git/info/refs?service=git-upload-pack", STRANGER);
    const answer = await mirror.get(INFO_REFS, STRANGER);
    expect([answer.status, await answer.text()]).toEqual([nothing.status, await nothing.text()]);
    expect(jobs).toEqual([]);
  });

  test.each([
    [false, true, 401],
    [true, true, 307],
    // A caller without a credential can wait as well.
    [true, false, 503],
  ])("without a credential, public: %s, redirects: %s", async (isPublic, redirects, status) => {
    await reserveUnmirrored(mirror, { isPublic });
    const repositories = { ...mirror.accounts.repositories, "acme/unmirrored": { public: isPublic } };
    mirror.fake.controls.replaceAccounts({ ...mirror.accounts, repositories });
    const { url } = await mirror.restarted({ redirects });
    const ask = (path: string) => fetch(`${url}${path}`, { redirect: "manual" });
    const answer = await ask(INFO_REFS);
    expect(answer.status).toBe(status);
    const location = `${mirror.fake.gitUrl}/acme/unmirrored.git/info/refs?service=git-upload-pack`;
    expect(answer.headers.get("location")).toBe(status === 307 ? location : null);
    expect(jobs).toEqual(status === 401 ? [] : [`first-${UNMIRRORED_UUID}`]);
    expect((await ask("/acme/nothing.git/info/refs?service=git-upload-pack")).status).toBe(401);
    // A second caller costs the primary no second question.
    await ask(INFO_REFS);
    expect(mirror.checks()).toBe(isPublic ? 1 : 0);
  });

  test("a name that leads somewhere is not reserved", async () => {
    const before = await readName(mirror.store, "acme", "vault");
    await reserve(mirror.store, "vault", UNMIRRORED_UUID, { isPublic: true });
    expect(await readName(mirror.store, "acme", "vault")).toEqual(before);
  });
});

describe("in sync", () => {
  let rig: LocalMirrorRig;
  beforeEach(async () => {
    rig = await startLocalMirrorRig();
    await rig.create("acme", "app", "CORE");
    // The first sync fails.
    rig.fake.controls.misbehave({ appliesTo: "git", failWithStatus: 500 });
    await rig.select({ workspace: "acme", credential: "bot", projects: ["CORE"] });
  });
  afterEach(() => rig.close());

  const ask = () =>
    fetch(`${rig.server.url}/acme/app.git/info/refs?service=git-upload-pack`, { redirect: "manual" });

  test("selected and not here: redirected, until the first sync is done", async () => {
    expect(await rig.state("acme/app")).toMatchObject({ state: "ERROR_INITIALIZING" });
    rig.fake.controls.behave();
    const answer = await ask();
    expect([answer.status, answer.headers.get("location")]).toEqual([
      307,
      `${rig.fake.gitUrl}/acme/app.git/info/refs?service=git-upload-pack`,
    ]);
    await rig.mirror.reconcile("full");
    await rig.settled();
    expect(await rig.serves("acme/app")).toBe("equal");
    expect((await ask()).status).toBe(200);
  });

  test.each([
    [
      "deselected",
      () =>
        changeMirrorConfig(rig.store, () =>
          mirrorConfigOf([{ workspace: "acme", credential: "bot", projects: ["WEB"] }]),
        ),
    ],
    ["deleted", () => rig.fake.lifecycle.remove({ workspace: "acme", slug: "app" })],
  ] as const)("%s before it was here: the name leads nowhere", async (_what, change) => {
    await change();
    rig.fake.controls.behave();
    await rig.mirror.reconcile("full");
    await rig.settled();
    expect((await ask()).status).toBe(401);
    expect((await readName(rig.store, "acme", "app"))?.isReserved).toBeUndefined();
  });
});

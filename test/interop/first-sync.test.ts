/** Real git asks for what is selected and not mirrored yet: it is sent on to the primary, or waits for the first sync. */
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { readName } from "../../lib/repo/names.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { makeCredentialHelper } from "../support/credential-helper.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { CREDENTIALS, type GuardedMirror, startGuardedMirror } from "../support/guarded-mirror.ts";
import { type InSyncRig, startInSyncRig } from "../support/in-sync-rig.ts";
import { nameRepository, reserve } from "../support/named-repository.ts";
import { expectSilentFsck, listRefs } from "../support/primary.ts";
import { TOKENS } from "../support/test-credentials.ts";

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
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
          if (syncs) void sync();
        },
      },
    });
    await reserve(mirror.store, "unmirrored", UUID);
  });
  afterEach(() => mirror.close());

  async function sync(): Promise<void> {
    const { store, fake } = mirror;
    const repositoryUrl = `${fake.gitUrl}/acme/unmirrored.git`;
    const credential = { kind: "basic", username: "x-bitbucket-api-token-auth", token: TOKENS.rita } as const;
    await syncRepository(UUID, {
      storage: { store, blocks: new BlockCache(store) },
      upstream: upstreamGit({ repositoryUrl, credential, agent: "nearside/test", fetch }),
      log: SILENT_LOGGER,
    });
    const record = { workspace: "acme", slug: "unmirrored", projectKey: "CORE", isPrivate: true };
    await nameRepository(store, UUID, record);
  }

  /** Another host than the primary's, for git as well. */
  const mirrorUrl = () => mirror.url().replace("127.0.0.1", "localhost");

  async function helper() {
    const credential = { username: "rita", password: TOKENS.rita };
    return makeCredentialHelper(mirror.folder, {
      [new URL(mirrorUrl()).host]: credential,
      [new URL(mirror.fake.gitUrl).host]: credential,
    });
  }

  test("a clone is sent on before it logs in, logs in at the primary, and keeps its credential", async () => {
    const credentials = await helper();
    const clone = join(mirror.folder, "clone");
    const url = `${mirrorUrl()}/acme/unmirrored.git`;
    await git([...credentials.options, "clone", "--quiet", "--mirror", url, clone]);
    const primaryHost = new URL(mirror.fake.gitUrl).host;
    expect(await credentials.takeCalls()).toEqual([`get ${primaryHost}`, `store ${primaryHost}`]);
    expect(await listRefs(clone)).toBe(await listRefs(mirror.primary("unmirrored")));
    await expectSilentFsck(clone);
    expect(jobs).toEqual([`first-${UUID}`]);
    await sync();
    mirror.clock.nowMs += 20_000;
    await git([...credentials.options, "fetch", "--quiet"], { cwd: clone });
    expect(await credentials.takeCalls()).toEqual([`get ${new URL(url).host}`, `store ${new URL(url).host}`]);
  });

  test("who shows a credential waits for the sync, and gets the repository from the mirror", async () => {
    syncs = true;
    mirror = Object.assign(mirror, { url: () => waiting.url });
    const waiting = await mirror.restarted({ waitMs: 60_000 });
    const clone = join(mirror.folder, "clone");
    const header = `http.extraHeader=Authorization: ${READER}`;
    await git(["-c", header, "clone", "--quiet", "--mirror", `${waiting.url}/acme/unmirrored.git`, clone]);
    expect(await listRefs(clone)).toBe(await listRefs(mirror.primary("unmirrored")));
    const entry = await readName(mirror.store, "acme", "unmirrored");
    expect(entry).toMatchObject({ uuid: UUID, isPublic: false, isFormer: false, foundBy: "unknown" });
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
    await sync();
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
    ["all", false, 307],
    ["all", true, 307],
    ["public", false, 401],
    ["public", true, 307],
    ["off", false, 401],
    ["off", true, 401],
  ] as const)("%s, of a repository that is public: %s", async (sendsOn, isPublic, status) => {
    await mirror.store.delete("names/acme/unmirrored.json");
    await reserve(mirror.store, "unmirrored", UUID, { isPublic });
    const { url } = await mirror.restarted({ settings: { sendsOn } });
    const ask = (path: string) => fetch(`${url}${path}`, { redirect: "manual" });
    const answer = await ask(INFO_REFS);
    expect(answer.status).toBe(status);
    const location = `${mirror.fake.gitUrl}/acme/unmirrored.git/info/refs?service=git-upload-pack`;
    expect(answer.headers.get("location")).toBe(status === 307 ? location : null);
    for (const path of [
      "/acme/nothing.git/info/refs?service=git-upload-pack",
      "/-/repositories/acme/unmirrored/status",
    ])
      expect((await ask(path)).status).toBe(401);
  });

  test("callers who are sent on count among those without a credential", async () => {
    const { url } = await mirror.restarted({ settings: { sendsOn: "all", anonymousPerMinute: 2 } });
    const statuses: number[] = [];
    for (let count = 0; count < 3; count++)
      statuses.push((await fetch(url + INFO_REFS, { redirect: "manual" })).status);
    expect(statuses).toEqual([307, 307, 429]);
  });

  test("a name that leads somewhere is not reserved", async () => {
    const before = await readName(mirror.store, "acme", "vault");
    await reserve(mirror.store, "vault", UUID, { isPublic: true });
    expect(await readName(mirror.store, "acme", "vault")).toEqual(before);
  });
});

describe("in sync", () => {
  let rig: InSyncRig;
  beforeEach(async () => {
    rig = await startInSyncRig();
    await rig.create("acme", "app", "CORE");
    // The first sync fails.
    rig.fake.controls.misbehave({ appliesTo: "git", failWithStatus: 500 });
    await rig.select({ workspace: "acme", credential: "bot", projects: ["CORE"] });
  });
  afterEach(() => rig.close());

  const ask = () =>
    fetch(`${rig.server.url}/acme/app.git/info/refs?service=git-upload-pack`, { redirect: "manual" });

  test("selected and not here: sent on, until the first sync is done", async () => {
    const answer = await ask();
    expect([answer.status, answer.headers.get("location")]).toEqual([
      307,
      `${rig.fake.gitUrl}/acme/app.git/info/refs?service=git-upload-pack`,
    ]);
    expect(await rig.state("acme/app")).toMatchObject({ state: "ERROR_INITIALIZING" });
    rig.fake.controls.behave();
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

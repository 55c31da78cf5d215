/** Shallow clones out of shared and prepared answers: what git makes of them, before and after pushes of all kinds. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../lib/git/pktline.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { openRepository } from "../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { prepareRepository } from "../../lib/sync/prepare-repository.ts";
import { startGitHttpServer } from "../support/git/git-http-server.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import { expectSilentFsck, heldObjects, type Primary, startPrimary } from "../support/primary.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID, type SyncRig, syncRig } from "../support/sync-rig.ts";

let primary: Primary;
let store: CountingBlobStore;
let rig: SyncRig;
let storage: RepositoryStorage;
let server: NodeServer;
let url: string;
let failures: unknown[];

beforeEach(async () => {
  primary = await startPrimary();
  store = new CountingBlobStore(new MemoryBlobStore());
  rig = syncRig(primary, store);
  failures = [];
  await serveAnew();
  await syncAndPrepare();
});

afterEach(async () => {
  expect(failures).toEqual([]);
  await server.close();
  await rig.close();
  await primary.close();
});

/** As another process. */
async function serveAnew(): Promise<void> {
  await server?.close();
  const onFailure = (error: unknown) => failures.push(error);
  storage = { ...rig.storage, answers: new AnswerSharing({ store, onFailure, maxKeepingWaitMs: 60_000 }) };
  const catalog = new RepositoryCatalog(storage);
  const error = (event: string, fields = {}) => failures.push({ event, ...fields });
  const log = { ...SILENT_LOGGER, error };
  const handler = gitHttp({
    ...OPEN_ACCESS,
    find: () => catalog.open(RIG_UUID),
    log,
    agent: "nearside/test",
  });
  server = await startNodeServer(handler, { log });
  url = `${server.url}/acme/sample.git`;
}

async function syncAndPrepare(): Promise<void> {
  await rig.sync();
  const warn = (event: string, fields = {}) => failures.push({ event, ...fields });
  const log = { ...SILENT_LOGGER, warn };
  await prepareRepository(RIG_UUID, { storage, log });
}

const answerKeys = () => keysOf(store, repositoryKeys(RIG_UUID).answerFolder);

/** @returns The clone's folder. */
async function clone(from: string, protocol: number, ...options: readonly string[]): Promise<string> {
  const folder = primary.newPath();
  await git(["-c", `protocol.version=${protocol}`, "clone", "--quiet", "--bare", ...options, from, folder]);
  return folder;
}

async function stateOf(repository: string): Promise<unknown> {
  const refs = await git(["for-each-ref"], { cwd: repository });
  const commits = await git(["log", "--all", "--format=%H %P", "--date-order"], { cwd: repository });
  return { refs, commits, objects: await heldObjects(repository) };
}

describe.each([0, 2])("protocol %d", (protocol) => {
  test("a prepared clone of depth 1 is git's own, and can be deepened and completed", async () => {
    store.reset();
    const mirrored = await clone(url, protocol, "--depth=1");
    // No index, no history and no pack was read for it.
    expect(store.counts()).toMatchObject({ readUpTo: 0, readRange: 0, startUpload: 0 });
    const gitServer = await startGitHttpServer(`${primary.folder}/primary/acme`);
    try {
      const reference = await clone(gitServer.urlOf("sample.git"), protocol, "--depth=1");
      expect(await stateOf(mirrored)).toEqual(await stateOf(reference));
      // Not --deepen: git 2.54 counts otherwise than before, see deepen-newest-git.test.ts.
      for (const step of ["--depth=3", "--depth=5", "--unshallow"]) {
        const args = ["-c", `protocol.version=${protocol}`, "fetch", "--quiet", step];
        await git([...args, url, "main:main"], { cwd: mirrored });
        await git([...args, gitServer.urlOf("sample.git"), "main:main"], { cwd: reference });
        expect(await git(["log", "--format=%H %P", "main"], { cwd: mirrored })).toBe(
          await git(["log", "--format=%H %P", "main"], { cwd: reference }),
        );
        await expectSilentFsck(mirrored);
      }
    } finally {
      await gitServer.close();
    }
  });
});

test("fifty that ask for the same at the same time cost one answer", async () => {
  const tip = await primary.git("rev-parse", "main");
  const lines = [
    "command=fetch",
    DELIM_PKT,
    "ofs-delta",
    "no-progress",
    "deepen 2",
    `want ${tip}`,
    "done",
    FLUSH_PKT,
  ];
  const body = Buffer.concat(lines.map((line) => (typeof line === "string" ? encodePktLine(line) : line)));
  const ask = async (): Promise<Uint8Array> => {
    const headers = { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" };
    const response = await fetch(`${url}/git-upload-pack`, { method: "POST", headers, body });
    return new Uint8Array(await response.arrayBuffer());
  };
  store.reset();
  const answers = await Promise.all(Array.from({ length: 50 }, ask));
  for (const answer of answers) expect(Buffer.compare(answer, answers[0] ?? new Uint8Array(0))).toBe(0);
  // Who comes when it is finished finds it in the store.
  expect(store.counts()).toMatchObject({ startUpload: 1, completeUpload: 1 });
});

test("what was prepared stays while it is asked for, and goes some days after the next push", async () => {
  const first = await answerKeys();
  expect(first).toHaveLength(2);
  // Of a small repository each eighth generation is swept, and the one before it.
  while (((await openRepository(storage, RIG_UUID)).manifest.generation + 1) % 8 !== 0) {
    await primary.commit("main", "more", `${Date.now()}\n`);
    await rig.sync();
  }
  await primary.commit("main", "more", "1\n");
  await syncAndPrepare();
  const both = await answerKeys();
  expect(both).toHaveLength(4);
  const now = () => new Date(Date.now() + 4 * 24 * 60 * 60 * 1000);
  store.reset();
  await prepareRepository(RIG_UUID, { storage, log: SILENT_LOGGER, now });
  // Nothing was made a second time.
  expect(store.counts()).toMatchObject({ startUpload: 0, readUpTo: 0, delete: 2 });
  expect(await answerKeys()).toEqual(both.filter((key) => !first.includes(key)));
});

test("what is kept may be deleted at any time", async () => {
  for (const key of await answerKeys()) await store.delete(key);
  await expectSilentFsck(await clone(url, 2, "--depth=1"));
  expect(await answerKeys()).toHaveLength(1);
});

test("a damaged answer fails its reader and is removed, and the next reader gets a whole one", async () => {
  const [key = ""] = await answerKeys();
  const { bytes } = await store.read(key);
  await store.write(key, bytes.with(200, (bytes[200] ?? 0) ^ 1));
  const args = ["clone", "--quiet", "--bare", "--depth=1", url, primary.newPath()];
  const { exitCode, stderr } = await tryGit(args);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("reading the repository failed, please retry");
  const damaged = expect.objectContaining({ code: "CORRUPT_PACK", message: "stored answer is damaged" });
  expect(failures.splice(0)).toEqual([damaged, damaged]);
  expect(await answerKeys()).not.toContain(key);
  await expectSilentFsck(await clone(url, 2, "--depth=1"));
  expect(await answerKeys()).toContain(key);
});

test("an answer is good through pushes that leave its wants alone", async () => {
  const tip = await primary.git("rev-parse", "main");
  await primary.commit("main", "more", "1\n");
  await syncAndPrepare();
  await serveAnew();
  const folder = primary.newPath();
  await git(["init", "--quiet", "--bare", folder]);
  store.reset();
  const fetchTip = ["fetch", "--quiet", "--depth=1", "--no-tags", url, `${tip}:refs/heads/tip`];
  await git(fetchTip, { cwd: folder });
  // The want is no tip any more: its being here is looked up in the indexes, but the packs are not read.
  expect(store.counts()).toMatchObject({ readUpTo: 0, startUpload: 0 });
  await expectSilentFsck(folder);
});

describe("nothing that is gone is given", () => {
  test.each(["rewound", "deleted"])("after a branch was %s", async (how) => {
    await primary.git("branch", "topic", "main");
    const lost = await primary.commit("topic", "secret", "a password\n");
    await syncAndPrepare();
    const wantsLost = ["fetch", "--quiet", "--depth=1", url, `${lost}:refs/heads/lost`];
    const before = primary.newPath();
    await git(["init", "--quiet", "--bare", before]);
    await git(wantsLost, { cwd: before });
    const kept = await answerKeys();
    if (how === "rewound") await primary.git("branch", "--force", "topic", "main");
    else await primary.git("branch", "-D", "topic");
    await syncAndPrepare();
    expect(await answerKeys()).toEqual(kept);
    const after = primary.newPath();
    await git(["init", "--quiet", "--bare", after]);
    const { exitCode, stderr } = await tryGit(wantsLost, { cwd: after });
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain("not our ref");
    await git(["fetch", "--quiet", "--depth=1", url, "+refs/*:refs/*"], { cwd: after });
    expect(await heldObjects(after)).not.toContain(lost);
    await expectSilentFsck(after);
  });

  test("after an annotated tag was deleted, and nothing is lacking after one was added", async () => {
    await primary.git("tag", "--annotate", "--message=first", "first", "main");
    const first = await primary.git("rev-parse", "first");
    await syncAndPrepare();
    expect(await heldObjects(await clone(url, 2, "--depth=1"))).toContain(first);
    await primary.git("tag", "--delete", "first");
    await primary.git("tag", "--annotate", "--message=second", "second", "main");
    const second = await primary.git("rev-parse", "second");
    await syncAndPrepare();
    const objects = await heldObjects(await clone(url, 2, "--depth=1"));
    expect(objects).toContain(second);
    expect(objects).not.toContain(first);
    const without = primary.newPath();
    await git(["init", "--quiet", "--bare", without]);
    await git(["fetch", "--quiet", "--depth=1", "--no-tags", url, "main:main"], { cwd: without });
    expect(await heldObjects(without)).not.toContain(second);
  });
});

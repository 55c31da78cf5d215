/** Bundles: real git takes them for what they say, and none is offered that holds more than the refs reach. */
import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { DEFAULT_BUNDLE_LIMITS, refreshBundles } from "../../lib/bundles/refresh-bundles.ts";
import { decodePktLine, encodePktLine, FLUSH_PKT, pktText } from "../../lib/git/pktline.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { writeName } from "../support/named-repository.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import {
  expectSilentFsck,
  heldObjects,
  listRefs,
  objectsOf,
  type Primary,
  reachableObjects,
  startPrimary,
} from "../support/primary.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID, type SyncRig, syncRig } from "../support/sync-rig.ts";

const START_MS = 1_700_000_000_000;

let primary: Primary;
let store: CountingBlobStore;
let rig: SyncRig;
let server: NodeServer;

beforeEach(async () => {
  primary = await startPrimary();
  store = new CountingBlobStore(new MemoryBlobStore());
  rig = syncRig(primary, store);
  const urls = new SignedBlobUrls({ serverUrl: () => server.url });
  const catalog = () => new RepositoryCatalog({ store, blocks: new BlockCache(store), urls });
  const mirror = gitHttp({
    ...OPEN_ACCESS,
    find: (...request) => catalog().find(...request),
    log: SILENT_LOGGER,
    agent: "nearside/test",
  });
  const blobs = blobHttp({ store, urls });
  server = await startNodeServer(
    (request) => (request.path.startsWith(BLOB_PATH_PREFIX) ? blobs(request) : mirror(request)),
    { log: SILENT_LOGGER },
  );
  await rig.sync();
  await writeName(store, "acme", "sample", RIG_UUID);
});

afterEach(async () => {
  await server.close();
  await primary.close();
});

const refresh = (limits = {}, nowMs = START_MS) =>
  refreshBundles(RIG_UUID, {
    storage: rig.storage,
    log: SILENT_LOGGER,
    limits: { ...DEFAULT_BUNDLE_LIMITS, minRepositoryBytes: 0, ...limits },
    nowMs: () => nowMs,
  });

/** What the server says to `bundle-uri`, line by line. */
async function askForBundles(proxyHeaders: Record<string, string> = {}): Promise<string[]> {
  const response = await fetch(`${server.url}/acme/sample.git/git-upload-pack`, {
    method: "POST",
    headers: {
      "content-type": "application/x-git-upload-pack-request",
      "git-protocol": "version=2",
      ...proxyHeaders,
    },
    body: Buffer.concat([encodePktLine("command=bundle-uri\n"), FLUSH_PKT]),
  });
  expect(response.status).toBe(200);
  const lines: string[] = [];
  let rest = new Uint8Array(await response.arrayBuffer());
  for (;;) {
    const line = decodePktLine(rest);
    if (line.kind === "flush") return lines;
    if (line.kind !== "data") throw new Error(`unexpected ${line.kind}`);
    lines.push(pktText(line.payload));
    rest = rest.subarray(line.bytesConsumed);
  }
}

async function offered(): Promise<{ readonly id: string; readonly url: string; readonly token: number }[]> {
  const values = new Map((await askForBundles()).map((line) => line.split(/=(.*)/s, 2) as [string, string]));
  const ids = [...values.keys()].flatMap((key) => /^bundle\.(.*)\.uri$/.exec(key)?.[1] ?? []);
  return ids.map((id) => ({
    id,
    url: values.get(`bundle.${id}.uri`) ?? "",
    token: Number(values.get(`bundle.${id}.creationtoken`)),
  }));
}

async function download(url: string): Promise<string> {
  const path = primary.newPath();
  await writeFile(path, new Uint8Array(await (await fetch(url)).arrayBuffer()));
  return path;
}

async function emptyRepository(): Promise<string> {
  const path = primary.newPath();
  await git(["init", "--quiet", "--bare", path]);
  return path;
}

/** As much as has to come for another bundle. */
async function pushMuch(name: string): Promise<void> {
  for (let i = 0; i < 10; i++) await primary.commit("main", `${name}/${i}.txt`, `${name} ${i}\n`);
  await rig.sync();
}

test("the first bundle holds the history of the main branch and nothing else", async () => {
  await refresh();
  const lines = await askForBundles();
  expect(lines.slice(0, 3)).toEqual([
    "bundle.version=1",
    "bundle.mode=all",
    "bundle.heuristic=creationToken",
  ]);
  const [bundle] = await offered();
  expect(lines).toHaveLength(5);
  expect(bundle?.token).toBe(START_MS / 1000);
  const file = await download(bundle?.url ?? "");
  const empty = await emptyRepository();
  await git(["bundle", "verify", "--quiet", file], { cwd: empty });
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", file, clone]);
  expect(await heldObjects(clone)).toEqual(await objectsOf(primary.repository, "main"));
  await expectSilentFsck(clone);
});

test("behind a proxy, bundles and packs are where the client has reached it", async () => {
  await refresh();
  const lines = await askForBundles({ "x-forwarded-proto": "https" });
  const url = lines.find((line) => line.includes(".uri="));
  expect(url).toContain(`=${server.url.replace("http:", "https:")}${BLOB_PATH_PREFIX}`);
  const urls = new SignedBlobUrls({ serverUrl: () => server.url });
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store), urls, minDownloadBytes: 1 });
  const repository = (await catalog.open(RIG_UUID))?.forCaller("caller", "https://mirror.example");
  const pack = repository?.packBodies[0]?.download;
  expect(pack?.protocol).toBe("https");
  expect(await pack?.url()).toMatch(/^https:\/\/mirror\.example\/~blobs\//);
});

test("a later one goes on from there, and git puts both together", async () => {
  await refresh();
  await refresh();
  expect(await offered()).toHaveLength(1);
  await pushMuch("second");
  await refresh();
  const bundles = await offered();
  expect(bundles.map(({ token }) => token)).toEqual([START_MS / 1000, START_MS / 1000 + 1]);
  const [first = "", second = ""] = await Promise.all(bundles.map(({ url }) => download(url)));
  const repository = await emptyRepository();
  expect((await tryGit(["bundle", "verify", second], { cwd: repository })).exitCode).not.toBe(0);
  for (const file of [first, second]) {
    await git(["bundle", "verify", "--quiet", file], { cwd: repository });
    await git(["fetch", "--quiet", file, "+refs/heads/*:refs/heads/*"], { cwd: repository });
  }
  expect(await heldObjects(repository)).toEqual(await objectsOf(primary.repository, "main"));
  await expectSilentFsck(repository);
});

test("a clone begun with the listed bundles ends like one without", async () => {
  await refresh();
  await pushMuch("second");
  await refresh();
  await primary.commit("main", "third.txt", "third\n");
  await rig.sync();
  // What git 2.40 and later ask the server for, git 2.39 takes from a file.
  const list = primary.newPath();
  const sections = (await offered()).map(({ id, url }) => `[bundle "${id}"]\n\turi = ${url}\n`);
  await writeFile(list, `[bundle]\n\tversion = 1\n\tmode = all\n${sections.join("")}`);
  const clone = primary.newPath();
  const url = `${server.url}/acme/sample.git`;
  await git([
    "-c",
    "transfer.bundleURI=true",
    "clone",
    "--quiet",
    "--mirror",
    `--bundle-uri=${list}`,
    url,
    clone,
  ]);
  expect(await git(["for-each-ref", "refs/bundles"], { cwd: clone })).not.toBe("");
  const names = (await git(["for-each-ref", "--format=%(refname)", "refs/bundles"], { cwd: clone })).split(
    "\n",
  );
  for (const name of names) await git(["update-ref", "-d", name], { cwd: clone });
  expect(await listRefs(clone)).toBe(await listRefs(primary.repository));
  expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
  await expectSilentFsck(clone);
});

test("after so many, one replaces them, with a later token", async () => {
  for (const name of ["a", "b"]) {
    await refresh({ maxBundles: 2 });
    await pushMuch(name);
  }
  expect(await offered()).toHaveLength(2);
  await refresh({ maxBundles: 2 });
  const bundles = await offered();
  expect(bundles.map(({ token }) => token)).toEqual([START_MS / 1000 + 2]);
  const keys = (await keysOf(store)).filter((key) => key.includes("/cache/"));
  expect(keys.map((key) => key.replace(/.*\//, "")).toSorted()).toEqual([
    `bundle-${bundles[0]?.id}.bundle`,
    "bundles.json",
  ]);
});

test("none is offered that holds what the main branch has lost; then one is made without", async () => {
  const lost = await primary.commit("main", "secret.txt", "secret\n");
  await rig.sync();
  await refresh();
  expect(await offered()).toHaveLength(1);
  await primary.git("update-ref", "refs/heads/main", `${lost}~1`);
  await rig.sync();
  expect(await askForBundles()).toEqual([]);
  await refresh();
  const [bundle] = await offered();
  const clone = primary.newPath();
  await git(["clone", "--quiet", "--bare", await download(bundle?.url ?? ""), clone]);
  expect(await heldObjects(clone)).toEqual(await objectsOf(primary.repository, "main"));
  expect(await heldObjects(clone)).not.toContain(lost);
});

test("that another branch was rewound does not matter", async () => {
  const lost = await primary.commit("develop", "secret.txt", "secret\n");
  await rig.sync();
  await refresh();
  const before = await offered();
  await primary.git("update-ref", "refs/heads/develop", `${lost}~1`);
  await rig.sync();
  expect((await offered()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
});

test.each(["bundles.json", ".bundle"])("where %s was deleted there is no list", async (end) => {
  await refresh();
  const [key = ""] = (await keysOf(store)).filter((name) => name.includes("/cache/") && name.endsWith(end));
  await store.delete(key);
  expect(await askForBundles()).toEqual([]);
  await refresh();
  expect(await offered()).toHaveLength(1);
});

test("what a killed writer has left goes with the next bundle, a day later", async () => {
  const key = repositoryKeys(RIG_UUID).bundle("0".repeat(40));
  await store.write(key, new Uint8Array(1));
  await refresh();
  expect(await keysOf(store)).toContain(key);
  await pushMuch("more");
  await refresh({}, Date.now() + 25 * 60 * 60 * 1000);
  expect(await keysOf(store)).not.toContain(key);
  expect(await offered()).toHaveLength(2);
});

test("a small repository has none", async () => {
  await refresh({ minRepositoryBytes: DEFAULT_BUNDLE_LIMITS.minRepositoryBytes });
  expect(await askForBundles()).toEqual([]);
});

test("the list takes four rounds", async () => {
  await refresh();
  store.reset();
  expect(await askForBundles()).not.toEqual([]);
  expect(store.counts().rounds).toBe(4);
});

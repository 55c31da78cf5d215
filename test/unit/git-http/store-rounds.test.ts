/**
 * How often an answer waits for the store, in a process that knows nothing yet: name, then manifest and refs, then recent objects, or
 * indexes and histories, then packs.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import type { RepositoryStorage } from "../../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRecent } from "../../../lib/sync/prepare-repository.ts";
import { chunksOf } from "../../support/byte-chunks.ts";
import { git } from "../../support/git/run-git.ts";
import { writeName } from "../../support/named-repository.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

const PACK_COUNT = 4;
/** Each block that is asked for alone is read alone. */
const NOTHING_OVER = { maxRequestsAhead: 1000, minBlocksOver: 0, maxBlocksOver: 0 };

const store = new CountingBlobStore(new MemoryBlobStore());
let primary: Primary;
let commits: string[];
let blobId: string;
let tips: string[];
let versioned: Primary;
let versions: string[];
/** Each in a pack of its own. */
const TAGS = ["one", "two", "three", "four", "five"];
let deep: Primary;
const deepBlobs = new MemoryBlobStore();
const deepStore = new CountingBlobStore(deepBlobs);
/** No request waits for an answer to be kept. */
const deepStoreBesideWrites: BlobStore = new Proxy(deepStore, {
  get: (target, name) => {
    const store = name === "startUpload" || name === "list" ? deepBlobs : target;
    const value: unknown = Reflect.get(store, name, store);
    return typeof value === "function" ? value.bind(store) : value;
  },
});
const versionedStore = new CountingBlobStore(new MemoryBlobStore());

beforeAll(async () => {
  primary = await startPrimary();
  const rig = syncRig(primary, store);
  for (let pack = 0; pack < PACK_COUNT; pack++) {
    // Larger together than what is read at once.
    for (let commit = 0; commit < 3; commit++)
      await primary.commit("main", `${pack}-${commit}.txt`, randomBytes(600_000).toString("base64"));
    await rig.sync();
  }
  await writeName(store, "acme", "sample", RIG_UUID);
  await prepareRecent(RIG_UUID, { storage: rig.storage, log: SILENT_LOGGER });
  const list = async (...args: string[]) => (await git(args, { cwd: primary.repository })).split("\n");
  commits = await list("rev-list", "--first-parent", "main");
  [blobId = ""] = await list("rev-parse", "main:1-1.txt");
  tips = await list("for-each-ref", "--format=%(objectname)");
}, 240_000);

/** Versions of one file, in one pack, in a chain of deltas that is longer than git's: increments that are merged have such. */
beforeAll(async () => {
  versioned = await startPrimary();
  const lines = Array.from({ length: 200 }, () => randomBytes(40).toString("base64"));
  for (let version = 0; version < 170; version++) {
    for (let change = 0; change < 20; change++)
      lines[(version * 31 + change * 7) % lines.length] = randomBytes(40).toString("base64");
    await versioned.commit("main", "text.txt", lines.join("\n"));
  }
  await versioned.git("config", "pack.depth", "250");
  await versioned.git("repack", "-adfq", "--depth=250", "--window=2");
  await syncRig(versioned, versionedStore).sync();
  await writeName(versionedStore, "acme", "sample", RIG_UUID);
  versions = (await git(["rev-list", "main"], { cwd: versioned.repository })).split("\n");
}, 240_000);

/** Folders in folders, changed one after the other, some on a branch, in one pack with chains of deltas. */
beforeAll(async () => {
  deep = await startPrimary();
  const names = Array.from({ length: 40 }, (_, name) => `${name}`);
  for (const name of names.slice(0, 12)) {
    for (const other of names.slice(0, 3))
      await deep.commit("main", `${name}/${other}/a/b/c.txt`, `${other} `.repeat(Number(name) + 30));
  }
  for (const name of names) {
    await deep.commit("main", `${Number(name) % 12}/${Number(name) % 3}/a/b/c.txt`, `${name} `.repeat(60));
    if (name === "20") await deep.git("branch", "side", "main");
    if (name === "30") await deep.commit("main", "sparse", "/1/\n/5/2/\n");
    if (Number(name) > 20) await deep.commit("side", `${Number(name) % 7}/0/a/s.txt`, name.repeat(50));
  }
  await git(["repack", "-adfq", "--depth=50"], { cwd: deep.repository });
  const rig = syncRig(deep, deepStore);
  await rig.sync();
  for (const tag of TAGS) {
    await deep.git("tag", "--annotate", `--message=${tag}`, tag, "main");
    await rig.sync();
  }
  await prepareRecent(RIG_UUID, { storage: rig.storage, log: SILENT_LOGGER });
  await writeName(deepStore, "acme", "sample", RIG_UUID);
}, 240_000);

afterAll(async () => {
  await primary.close();
  await deep.close();
  await versioned.close();
});

/** Asks a process that was just started. @returns Rounds until the pack begins, and in all. */
async function roundsOf(
  lines: readonly (string | Uint8Array)[],
  storage: RepositoryStorage & { readonly store: CountingBlobStore } = {
    store,
    blocks: new BlockCache(store),
  },
) {
  const { store } = storage;
  const catalog = new RepositoryCatalog(storage);
  const handler = gitHttp({
    ...OPEN_ACCESS,
    find: (...request) => catalog.find(...request),
    log: SILENT_LOGGER,
    agent: "nearside/1",
  });
  const encoded = lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line));
  store.reset();
  const { body } = await handler({
    method: "POST",
    path: "/acme/sample/git-upload-pack",
    query: new URLSearchParams(),
    headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
    body: chunksOf(Buffer.concat([...encoded, FLUSH_PKT]), []),
    signal: new AbortController().signal,
  });
  let firstPackByte: number | undefined;
  for await (const chunk of body) {
    if (Buffer.from(chunk).includes("PACK")) firstPackByte ??= store.counts().rounds;
  }
  const { requests, rounds } = store.counts();
  return { firstPackByte, rounds, requests };
}

const fetchLines = (...lines: string[]) => [
  "command=fetch",
  DELIM_PKT,
  ...["ofs-delta", "thin-pack", ...lines, "done"],
];
const fetchOf = (...lines: string[]) => roundsOf(fetchLines(...lines));

test("refs take two", async () => {
  expect(await roundsOf(["command=ls-refs", DELIM_PKT, "peel", "symrefs"])).toMatchObject({
    ...{ requests: 3, rounds: 2 },
  });
});

test("a clone takes three to the pack's first byte", async () => {
  expect(await fetchOf(...tips.map((id) => `want ${id}`))).toEqual({
    ...{ firstPackByte: 3, rounds: 3, requests: 3 + PACK_COUNT },
  });
});

test("a fetch of what is new and large takes four", async () => {
  expect(await fetchOf(`want ${commits[0]}`, `have ${commits[1]}`)).toMatchObject({
    ...{ firstPackByte: 4, rounds: 4 },
  });
});

test("one of what is new takes three, as its entries are among the recent objects", async () => {
  const [newest, before] = (await deep.git("rev-list", "--max-count=2", "main")).split("\n");
  const storage = { store: deepStore, blocks: new BlockCache(deepStore) };
  expect(await roundsOf(fetchLines(`want ${newest}`, `have ${before}`), storage)).toMatchObject({
    ...{ firstPackByte: 3, rounds: 3, requests: 4 },
  });
});

test("one for which the recent objects do not suffice takes five", async () => {
  expect(await fetchOf(`want ${commits[0]}`, `have ${"1".repeat(40)}`)).toMatchObject({
    ...{ firstPackByte: 5, rounds: 5 },
  });
});

test("a fetch of some megabytes, which are read ahead, takes no more", async () => {
  expect(await fetchOf(`want ${commits[0]}`, `have ${commits[6]}`)).toMatchObject({
    ...{ firstPackByte: 4, rounds: 4 },
  });
});

test("a delta that is made anew takes four, however long the chain of its base, and five where recent objects are looked for", async () => {
  // Each link of the chain is in blocks of its own.
  const limits = {
    blockBytes: 512,
    maxCachedBytes: 2 ** 20,
    maxBlocksPerRequest: 1,
    maxBlocksAhead: 1000,
    ...NOTHING_OVER,
  };
  let mostRequests = 0;
  for (let newer = 0; newer + 1 < versions.length; newer += 4) {
    const storage = { store: versionedStore, blocks: new BlockCache(versionedStore, limits) };
    const lines = [`want ${versions[newer]}`, `have ${versions[newer + 1]}`];
    const fetched = await roundsOf(fetchLines(...lines), storage);
    expect(fetched, `${newer}`).toMatchObject({ rounds: newer === 0 ? 5 : 4 });
    mostRequests = Math.max(mostRequests, fetched.requests);
  }
  expect(mostRequests).toBeGreaterThan(120);
});

describe("where history is cut, or trees are sent by depth or path", () => {
  // Each object is in a block of its own.
  const limits = {
    blockBytes: 256,
    maxCachedBytes: 2 ** 20,
    maxBlocksPerRequest: 1,
    maxBlocksAhead: 1000,
    ...NOTHING_OVER,
  };
  const idOf = async (revision: string): Promise<string> => deep.git("rev-parse", revision);

  test.each([
    ["a clone of one commit", ["deepen 1"], []],
    ["one of some commits", ["deepen 10"], []],
    ["one of two branches", ["deepen 7"], ["side"]],
    ["one up to a revision", ["deepen-not refs/heads/side"], []],
    ["one without what is deep", ["filter tree:3"], ["side"]],
    ["one of some commits, without what is deep", ["deepen 5", "filter tree:2"], []],
    ["one of some commits, without files", ["deepen 5", "filter blob:none"], []],
  ])("%s takes four", async (_, lines, branches) => {
    const wants = await Promise.all(["main", ...branches].map(idOf));
    const storage = { store: deepStore, blocks: new BlockCache(deepStore, limits) };
    const answer = await roundsOf(fetchLines(...wants.map((id) => `want ${id}`), ...lines), storage);
    expect(answer.rounds).toBe(4);
    expect(answer.requests).toBeGreaterThan(10);
  });

  test("to deepen what a client has takes four", async () => {
    const [tip, end] = [await idOf("main"), await idOf("main~4")];
    const storage = { store: deepStore, blocks: new BlockCache(deepStore, limits) };
    const lines = [`want ${tip}`, `have ${tip}`, `shallow ${end}`, "deepen 15"];
    const answer = await roundsOf(fetchLines(...lines), storage);
    expect(answer.rounds).toBe(4);
    expect(answer.requests).toBeGreaterThan(20);
  });

  test("to look for an answer that was kept takes one more", async () => {
    const answers = new AnswerSharing({ store: deepStoreBesideWrites });
    const storage = { store: deepStore, blocks: new BlockCache(deepStore, limits), answers };
    const lines = fetchLines(`want ${await idOf("main")}`, "deepen 9");
    expect(await roundsOf(lines, storage)).toMatchObject({ firstPackByte: 5, rounds: 5 });
  });

  test("a filter by path takes seven: a tree and the patterns in it, and then trees, whose names it goes by", async () => {
    const storage = { store: deepStore, blocks: new BlockCache(deepStore, limits) };
    const wants = await Promise.all(["main", "side"].map(idOf));
    const lines = [...wants.map((id) => `want ${id}`), "filter sparse:oid=main:sparse"];
    const answer = await roundsOf(fetchLines(...lines), storage);
    expect(answer).toMatchObject({ firstPackByte: 7, rounds: 7 });
    expect(answer.requests).toBeGreaterThan(50);
  });
});

test.each([
  ["that are wanted", (ids: readonly string[]) => ids.map((id) => `want ${id}`)],
  ["of what is wanted, asked for or not,", () => ["include-tag"]],
])("tags %s are among the recent objects", async (_, linesOf) => {
  const idOf = async (revision: string): Promise<string> => deep.git("rev-parse", revision);
  const lines = linesOf(await Promise.all(TAGS.map(idOf)));
  const storage = { store: deepStore, blocks: new BlockCache(deepStore) };
  const wants = [`want ${await idOf("main")}`, `have ${await idOf("main~3")}`];
  const answer = await roundsOf(fetchLines(...wants, ...lines), storage);
  expect(answer).toMatchObject({ rounds: 3, requests: 4 });
});

test("an object that is wanted by itself takes four", async () => {
  expect(await fetchOf(`want ${blobId}`)).toMatchObject({ rounds: 4 });
});

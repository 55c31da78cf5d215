/**
 * How often an answer waits for the store, in a process that knows nothing yet: name, then manifest and refs, then indexes and
 * histories, then packs.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { concatBytes, DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { gitHttp } from "../../../lib/git-http/git-http.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { writeName } from "../../../lib/repo/names.ts";
import { RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../../lib/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../../lib/store/memory-blob-store.ts";
import { chunksOf } from "../../support/byte-chunks.ts";
import { git } from "../../support/git/run-git.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { type Primary, startPrimary } from "../../support/primary.ts";
import { RIG_UUID, syncRig } from "../../support/sync-rig.ts";

const PACK_COUNT = 4;

const store = new CountingBlobStore(new MemoryBlobStore());
let primary: Primary;
let commits: string[];
let blobId: string;
let tips: string[];
let versioned: Primary;
let versions: string[];
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
  const list = async (...args: string[]) => (await git(args, { cwd: primary.repository })).split("\n");
  commits = await list("rev-list", "--first-parent", "main");
  [blobId = ""] = await list("rev-parse", "main:1-1.txt");
  tips = await list("for-each-ref", "--format=%(objectname)");
}, 60_000);

/** Versions of one file, in a chain of deltas as git makes them, in one pack. */
beforeAll(async () => {
  versioned = await startPrimary();
  const lines = Array.from({ length: 200 }, () => randomBytes(40).toString("base64"));
  for (let version = 0; version < 30; version++) {
    for (let change = 0; change < 20; change++)
      lines[(version * 31 + change * 7) % lines.length] = randomBytes(40).toString("base64");
    await versioned.commit("main", "text.txt", lines.join("\n"));
  }
  await git(["repack", "-adfq", "--depth=50"], { cwd: versioned.repository });
  await syncRig(versioned, versionedStore).sync();
  await writeName(versionedStore, "acme", "sample", RIG_UUID);
  versions = (await git(["rev-list", "main"], { cwd: versioned.repository })).split("\n");
}, 60_000);

afterAll(async () => {
  await primary.close();
  await versioned.close();
});

/** Asks a process that was just started. @returns Rounds until the pack begins, and in all. */
async function roundsOf(
  lines: readonly (string | Uint8Array)[],
  storage = { store, blocks: new BlockCache(store) },
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
    body: chunksOf(concatBytes([...encoded, FLUSH_PKT]), []),
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

test("a fetch of what is new takes four", async () => {
  expect(await fetchOf(`want ${commits[0]}`, `have ${commits[1]}`)).toMatchObject({
    ...{ firstPackByte: 4, rounds: 4 },
  });
});

test("a fetch of some megabytes, which are read ahead, takes no more", async () => {
  expect(await fetchOf(`want ${commits[0]}`, `have ${commits[6]}`)).toMatchObject({
    ...{ firstPackByte: 4, rounds: 4 },
  });
});

test("a delta that is made anew takes five, however long the chain of its base", async () => {
  // Each link of the chain lies in blocks of its own.
  const limits = { blockBytes: 512, maxCachedBytes: 2 ** 20, maxBlocksPerRequest: 1, maxBlocksAhead: 1000 };
  const storage = { store: versionedStore, blocks: new BlockCache(versionedStore, limits) };
  const fetched = await roundsOf(fetchLines(`want ${versions[0]}`, `have ${versions[20]}`), storage);
  expect(fetched).toMatchObject({ rounds: 5 });
  expect(fetched.requests).toBeGreaterThan(20);
});

test("an object that is wanted by itself takes four", async () => {
  expect(await fetchOf(`want ${blobId}`)).toMatchObject({ rounds: 4 });
});

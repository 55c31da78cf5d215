/** Clones of a part of everything: put together anew, and by a kept recipe. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SharedAnswers } from "../../lib/git/ports.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { compactRepository } from "../../lib/repo/compaction/compact-repository.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { EAGER } from "../support/compaction-policies.ts";
import { startGitHttpServer } from "../support/git/git-http-server.ts";
import { git } from "../support/git/run-git.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import { heldObjects, type Primary, startPrimary } from "../support/primary.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../support/store/memory-blob-store.ts";
import { keysOf, RIG_UUID, type SyncRig, syncRig } from "../support/sync-rig.ts";

let primary: Primary;
let store: CountingBlobStore;
let rig: SyncRig;
let server: NodeServer | undefined;
let failures: unknown[];

beforeEach(async () => {
  primary = await startPrimary();
  await primary.git("tag", "--annotate", "--message=one", "one", "main");
  store = new CountingBlobStore(new MemoryBlobStore());
  rig = syncRig(primary, store);
  failures = [];
  await rig.sync();
});

afterEach(async () => {
  expect(failures).toEqual([]);
  await server?.close();
  await rig.close();
  await primary.close();
});

/** @returns The address of a process that has read nothing yet. */
async function serveAnew(
  answers = new AnswerSharing({ store, onFailure: (error) => failures.push(error) }),
): Promise<string> {
  await server?.close();
  const storage = { store, blocks: new BlockCache(store), answers, minRecipePackBytes: 0 };
  const catalog = new RepositoryCatalog(storage);
  const error = (event: string, fields = {}) => failures.push({ event, ...fields });
  const log = { ...SILENT_LOGGER, error };
  const options = { ...OPEN_ACCESS, find: () => catalog.open(RIG_UUID), log, agent: "nearside/test" };
  server = await startNodeServer(gitHttp(options), { log });
  return `${server.url}/acme/sample.git`;
}

async function clone(url: string, args: readonly string[]): Promise<string[]> {
  const folder = primary.newPath();
  await git(["clone", "--quiet", "--bare", ...args, url, folder]);
  return heldObjects(folder);
}

const recipes = () => keysOf(store, repositoryKeys(RIG_UUID).answerFolder);

const PARTS = [
  ["--filter=blob:none"],
  ["--filter=tree:0"],
  ["--filter=blob:limit=40"],
  ["--filter=blob:none", "--mirror"],
  ["--filter=object:type=commit"],
  ["--single-branch", "--no-tags", "--branch=main"],
];

describe.each(PARTS)("%s %s", (...args) => {
  test("has git's objects, put together anew and by the recipe", async () => {
    const parts = args.filter((arg) => typeof arg === "string");
    const gitServer = await startGitHttpServer(`${primary.folder}/primary/acme`);
    try {
      const expected = await clone(gitServer.urlOf("sample.git"), parts);
      expect(await clone(await serveAnew(), parts)).toEqual(expected);
      expect(await recipes()).toHaveLength(1);
      const url = await serveAnew();
      store.reset();
      expect(await clone(url, parts)).toEqual(expected);
      // No index and no history was read: refs for the first requests, recipe and pack for the last.
      expect(store.counts()).toMatchObject({ readUpTo: 0, readRange: 0, startUpload: 0, rounds: 6 });
    } finally {
      await gitServer.close();
    }
  });
});

test("a whole clone has no recipe, nor has a fetch of what is new", async () => {
  const url = await serveAnew();
  await clone(url, ["--mirror"]);
  const folder = primary.newPath();
  await git(["clone", "--quiet", "--bare", url, folder]);
  await primary.commit("main", "more", "1\n");
  await rig.sync();
  await git(["fetch", "--quiet", url, "main:main"], { cwd: folder });
  expect(await recipes()).toEqual([]);
});

test("after a push, and after packs were merged, another recipe is made", async () => {
  const args = ["--filter=blob:none"];
  const first = await clone(await serveAnew(), args);
  await primary.commit("main", "more", "1\n");
  await rig.sync();
  const second = await clone(await serveAnew(), args);
  expect(second.length).toBe(first.length + 2);
  await compactRepository(RIG_UUID, { store, policy: EAGER });
  expect(await clone(await serveAnew(), args)).toEqual(second);
  expect(await recipes()).toHaveLength(3);
  expect(await clone(await serveAnew(), args)).toEqual(second);
  expect(await recipes()).toHaveLength(3);
});

test("a damaged recipe is removed, and clients do not notice", async () => {
  const args = ["--filter=blob:none"];
  const expected = await clone(await serveAnew(), args);
  const [key = ""] = await recipes();
  const { bytes } = await store.read(key);
  await store.write(key, bytes.with(60, (bytes[60] ?? 0) ^ 1));
  expect(await clone(await serveAnew(), args)).toEqual(expected);
  expect(failures.splice(0)).toEqual([expect.objectContaining({ message: "stored answer is damaged" })]);
  store.reset();
  expect(await clone(await serveAnew(), args)).toEqual(expected);
  expect(store.counts()).toMatchObject({ readUpTo: 0, readRange: 0, startUpload: 0 });
});

test("where a recipe cannot be kept, the client has its pack all the same", async () => {
  const args = ["--filter=blob:none"];
  const expected = await clone(await serveAnew(), args);
  class FullDisk extends AnswerSharing {
    override of(): SharedAnswers {
      return {
        isRepeated: () => false,
        async open({ make }) {
          if (make === undefined) return undefined;
          async function* fail(): AsyncGenerator<Uint8Array, void, undefined> {
            yield* [];
            throw new Error("no space left on the device");
          }
          return fail();
        },
      };
    }
  }
  expect(await clone(await serveAnew(new FullDisk({ store })), args)).toEqual(expected);
});

test.each(["blob:none", "tree:0", "object:type=tag"])(
  "what a tag outside refs/tags/ points to is named, too: %s",
  async (filter) => {
    const blob = await primary.git("hash-object", "-w", "--", `${primary.repository}/HEAD`);
    await primary.git("tag", "--annotate", "--message=blob", "blob", blob.trim());
    await primary.git("update-ref", "refs/custom/blob", "refs/tags/blob");
    await primary.git("tag", "--delete", "blob");
    await rig.sync();
    const gitServer = await startGitHttpServer(`${primary.folder}/primary/acme`);
    try {
      const args = ["--mirror", `--filter=${filter}`];
      expect(await clone(await serveAnew(), args)).toEqual(await clone(gitServer.urlOf("sample.git"), args));
    } finally {
      await gitServer.close();
    }
  },
);

test("objects that a partial clone fetches later have no recipe", async () => {
  const url = await serveAnew();
  const folder = primary.newPath();
  await git(["clone", "--quiet", "--bare", "--filter=blob:none", url, folder]);
  const kept = await recipes();
  expect(kept).toHaveLength(1);
  const blobs = (await git(["ls-tree", "-r", "main"], { cwd: folder })).matchAll(/ blob ([0-9a-f]{40})/g);
  store.reset();
  for (const [, id = ""] of [...blobs].slice(0, 3)) await git(["cat-file", "-s", id], { cwd: folder });
  expect(await recipes()).toEqual(kept);
  expect(store.counts()).toMatchObject({ readStream: 0, startUpload: 0 });
});

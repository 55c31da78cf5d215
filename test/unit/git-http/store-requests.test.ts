/** What serving asks of the store: requests cost money, rounds cost time. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { DELIM_PKT, encodePktLine, FLUSH_PKT } from "../../../lib/git/pktline.ts";
import { type GitHttpOptions, gitHttp } from "../../../lib/git-http/git-http.ts";
import type { HttpHandler } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { AnswerSharing } from "../../../lib/repo/answers/answer-sharing.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { PackSet } from "../../../lib/repo/pack-set.ts";
import type { RepositoryStorage } from "../../../lib/repo/repository.ts";
import { type CatalogOptions, RepositoryCatalog } from "../../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { BlockCache } from "../../../lib/store/block-cache.ts";
import { prepareRepository } from "../../../lib/sync/prepare-repository.ts";
import { chunksOf, collect } from "../../support/byte-chunks.ts";
import { MirrorBuilder, OFS_ALL } from "../../support/git/mirror-builder.ts";
import { git } from "../../support/git/run-git.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { OPEN_ACCESS } from "../../support/open-access.ts";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

let folder: TemporaryFolder;
let sample: string;
const store = new CountingBlobStore(new MemoryBlobStore());
let handler: HttpHandler;
let storage: RepositoryStorage;
let uuid: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  sample = `${folder.path}/sample`;
  await makeSampleRepository(sample);
  const builder = await MirrorBuilder.open(store, sample, `${folder.path}/scratch`);
  await builder.addPack({ revisions: ["main~15"] });
  await builder.addPack({ revisions: ["^main~15"], packObjectsOptions: ["--thin", ...OFS_ALL] });
  await builder.publish("acme", "sample");
  ({ uuid } = builder);
}, 60_000);

beforeEach(() => startAnew());

/** What a new process does. */
function startAnew(catalogOptions: CatalogOptions = {}): void {
  storage = { store, blocks: new BlockCache(store), answers: new AnswerSharing({ store }) };
  const catalog = new RepositoryCatalog(storage, catalogOptions);
  const find: GitHttpOptions["find"] = (...request) => catalog.find(...request);
  handler = gitHttp({ ...OPEN_ACCESS, find, log: SILENT_LOGGER, agent: "nearside/1" });
  store.reset();
}

afterAll(() => folder.remove());

async function post(...lines: readonly (string | Uint8Array)[]): Promise<Uint8Array> {
  const encoded = lines.map((line) => (typeof line === "string" ? encodePktLine(`${line}\n`) : line));
  const response = await handler({
    method: "POST",
    path: "/acme/sample/git-upload-pack",
    query: new URLSearchParams(),
    headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
    body: chunksOf(Buffer.concat([...encoded, FLUSH_PKT]), []),
    signal: new AbortController().signal,
  });
  return collect(response.body);
}

const lsRefs = () => post("command=ls-refs", DELIM_PKT, "peel");

test("equal fetches of one branch at once are planned once alone and once for the rest", async () => {
  const tip = await git(["rev-parse", "main~3"], { cwd: sample });
  const fetchTip = () => post("command=fetch", DELIM_PKT, "ofs-delta", "no-progress", `want ${tip}`, "done");
  const sorting = vi.spyOn(PackSet.prototype, "sortByPlace");
  const answers = await Promise.all(Array.from({ length: 40 }, fetchTip));
  for (const answer of answers) expect(Buffer.compare(answer, answers[0] ?? new Uint8Array(0))).toBe(0);
  expect(sorting).toHaveBeenCalledTimes(2);
  sorting.mockRestore();
});

test("listing refs: name, then manifest and refs cold; the manifest warm", async () => {
  await lsRefs();
  expect(store.counts()).toMatchObject({ requests: 3, rounds: 2 });
  store.reset();
  await lsRefs();
  expect(store.counts()).toMatchObject({ requests: 1, rounds: 1 });
});

test("where other processes write push markers, these are read in the same rounds", async () => {
  startAnew({ readsPushMarkers: true });
  await lsRefs();
  expect(store.counts()).toMatchObject({ requests: 4, rounds: 2 });
  store.reset();
  await lsRefs();
  expect(store.counts()).toMatchObject({ requests: 2, rounds: 1 });
});

test("a push marker that cannot be read is logged, and keeps no ref back", async () => {
  const damaged: string[] = [];
  const unreadable: BlobStore = new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: readonly unknown[]) => {
        if (String(args[0]).endsWith("/announced")) throw new Error("the store is tired");
        return value.apply(target, args);
      };
    },
  });
  const onDamage = (_: unknown, key: string) => void damaged.push(key);
  const storage = { store: unreadable, blocks: new BlockCache(store), onDamage };
  const catalog = new RepositoryCatalog(storage, { readsPushMarkers: true });
  expect((await catalog.open(uuid, { refs: true }))?.generation).toBeGreaterThan(0);
  expect(damaged).toEqual([repositoryKeys(uuid).pushMarker]);
});

test("a clone reads no index: one stream for each pack", async () => {
  const refs = (await git(["for-each-ref", "--format=%(objectname)"], { cwd: sample })).split("\n");
  await lsRefs();
  store.reset();
  await post("command=fetch", DELIM_PKT, "ofs-delta", ...refs.map((id) => `want ${id}`), "done");
  expect(store.counts()).toMatchObject({ requests: 3, readStream: 2, rounds: 2 });
});

test("a fetch reads each index where no recent objects are kept, and of the packs no more than their blocks", async () => {
  const [tip, old] = await Promise.all(
    ["main", "main~3"].map((name) => git(["rev-parse", name], { cwd: sample })),
  );
  await lsRefs();
  store.reset();
  await post("command=fetch", DELIM_PKT, "ofs-delta", `want ${tip}`, `have ${old}`, "done");
  expect(store.counts()).toMatchObject({
    // The recent objects are looked for once.
    requests: 6,
    read: 3,
    readIfChanged: 1,
    readUpTo: 2,
    readStream: 0,
  });
});

describe("a clone of depth 1", () => {
  /** As git 2.39 asks. */
  const cloneDepth1 = async (...more: readonly string[]) => {
    const tip = await git(["rev-parse", "main"], { cwd: sample });
    const lines = ["thin-pack", "include-tag", "ofs-delta", "deepen 1", ...more, `want ${tip}`, "done"];
    return post("command=fetch", DELIM_PKT, ...lines);
  };

  test("that was prepared: cold name, manifest with refs, and one stream; warm manifest and one stream", async () => {
    await prepareRepository(uuid, { storage, log: SILENT_LOGGER });
    startAnew();
    await cloneDepth1();
    expect(store.counts()).toMatchObject({ requests: 4, read: 3, readStream: 1, rounds: 3 });
    store.reset();
    await cloneDepth1();
    expect(store.counts()).toMatchObject({ requests: 2, readIfChanged: 1, readStream: 1, rounds: 2 });
  });

  test("that was never asked for is looked for once, and no more is read for that than an absent blob", async () => {
    for await (const { key } of store.list(repositoryKeys(uuid).answerFolder)) await store.delete(key);
    await lsRefs();
    store.reset();
    await cloneDepth1("filter blob:none");
    const { readStream, startUpload, completeUpload, list, delete: deletes } = store.counts();
    expect({ readStream, startUpload, completeUpload, list, deletes }).toEqual({
      readStream: 1,
      startUpload: 1,
      completeUpload: 1,
      // How much is kept already, while the answer is made: once a minute for a repository.
      list: 1,
      deletes: 0,
    });
  });
});

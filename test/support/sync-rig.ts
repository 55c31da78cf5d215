/** Syncs of a primary's repository into a store, in this process, and looks into what they leave there. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import type { GitHttpLimits } from "../../lib/bitbucket/git-http-client.ts";
import { type UpstreamGit, upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { type GitHttpOptions, gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import type { Manifest } from "../../lib/repo/manifest.ts";
import { openRepository, type RepositoryStorage } from "../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { type SyncOutcome, syncRepository } from "../../lib/sync/sync-repository.ts";
import { git } from "./git/run-git.ts";
import { writeName } from "./named-repository.ts";
import { OPEN_ACCESS } from "./open-access.ts";
import { expectSilentFsck, listRefs, type Primary, reachableObjects } from "./primary.ts";

export const RIG_UUID = "01234567-89ab-cdef-0123-456789abcdef";

export interface SyncRig {
  readonly storage: RepositoryStorage;
  upstream(): UpstreamGit;
  /** @param upstream - In place of the primary's own. */
  sync(upstream?: UpstreamGit): Promise<SyncOutcome>;
  /** How often its syncs found that another writer was first. */
  lostRaceCount(): number;
  manifest(): Promise<Manifest>;
  /** Starts, once, a server of the store. @returns The repository's address. */
  serve(): Promise<string>;
  close(): Promise<void>;
}

export function syncRig(primary: Primary, store: BlobStore, limits?: GitHttpLimits): SyncRig {
  const storage = { store, blocks: new BlockCache(store) };
  let server: NodeServer | undefined;
  let lostRaceCount = 0;
  const info = (event: string) => {
    if (event === "sync:race-lost") lostRaceCount += 1;
  };
  const syncLog = { ...SILENT_LOGGER, info };
  const upstream = () =>
    upstreamGit({
      repositoryUrl: `${primary.fake.gitUrl}/acme/sample.git`,
      authorization: undefined,
      agent: "nearside/test",
      fetch,
      ...(limits === undefined ? {} : { limits }),
    });
  return {
    storage,
    upstream,
    sync: (other) => syncRepository(RIG_UUID, { storage, upstream: other ?? upstream(), log: syncLog }),
    lostRaceCount: () => lostRaceCount,
    manifest: async () => (await openRepository(storage, RIG_UUID)).manifest,
    serve: async () => {
      if (server === undefined) {
        await writeName(store, "acme", "sample", RIG_UUID);
        const catalog = new RepositoryCatalog(storage);
        const find: GitHttpOptions["find"] = (...request) => catalog.find(...request);
        const log = SILENT_LOGGER;
        server = await startNodeServer(gitHttp({ ...OPEN_ACCESS, find, log, agent: "nearside/test" }), {
          log,
        });
      }
      return `${server.url}/acme/sample.git`;
    },
    close: async () => server?.close(),
  };
}

export async function keysOf(store: BlobStore, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

/** The store holds the packs that the manifest names, with what belongs to each, and no others. */
export async function expectNothingLeftOver({ storage: { store }, manifest }: SyncRig): Promise<void> {
  const keys = repositoryKeys(RIG_UUID);
  const { packs, refs } = await manifest();
  const found = await keysOf(store, keys.prefix);
  for (const { id } of packs)
    expect(found).toEqual(expect.arrayContaining([keys.packIndex(id), keys.pack(id)]));
  const ids = found.flatMap(
    (key) => /\/objects\/pack\/pack-([0-9a-f]{40})\.[a-z]+(?:-\d+)?$/.exec(key)?.[1] ?? [],
  );
  expect(new Set(ids)).toEqual(new Set(packs.map(({ id }) => id)));
  const isRemoved = async (key: string) =>
    new TextDecoder().decode((await store.read(key)).bytes) === '{"tombstone":true}\n';
  // Its notes are removed when the import is published.
  const others = found.filter((key) => !/\/(objects\/pack|ref-snapshots)\//.test(key));
  if (others.includes(keys.importNotes) && (await isRemoved(keys.importNotes)))
    others.splice(others.indexOf(keys.importNotes), 1);
  expect(others).toEqual([keys.head, keys.manifest, keys.packedRefs, keys.refsFolderMark]);
  expect(found).toContain(keys.refSnapshot(refs.snapshotId));
}

/** What any client of the store gets who copies the repository's prefix to a disk. */
export async function copyPrefix(store: BlobStore, prefix: string, folder: string): Promise<void> {
  for (const key of await keysOf(store, prefix)) {
    const path = join(folder, key.slice(prefix.length));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, (await store.read(key)).bytes);
  }
}

/** Clones the mirror and compares with the primary: HEAD, refs, objects, and git's own check. */
export async function expectCloneLikePrimary(rig: SyncRig, primary: Primary): Promise<void> {
  const url = await rig.serve();
  expect(await listRefs(url)).toBe(await listRefs(primary.repository));
  const clone = primary.newPath();
  await git(["-c", "transfer.fsckObjects=true", "clone", "--quiet", "--mirror", url, clone]);
  await expectSilentFsck(clone);
  expect(await reachableObjects(clone)).toEqual(await reachableObjects(primary.repository));
}

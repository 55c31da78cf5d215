/**
 * A mirror follows a history push by push, by syncs without a network, compacted as it goes: `node test/bench/follow-child.ts <order.json>`.
 * The first pack comes from a file, later ones from git's own upload-pack.
 */
import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { UpstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { encodeFetchRequestV2, readFetchResponse } from "../../lib/git/fetch-pack.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { maintainRepository } from "../../lib/repo/maintain-repository.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import { writeName } from "../support/named-repository.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import { type FollowedHistory, refsBehind } from "./followed-history.ts";

export interface FollowOrder {
  /** A repository that holds all of the history, whatever its refs. */
  readonly primary: string;
  readonly history: FollowedHistory;
  /** The states that the mirror sees, as pushes behind, oldest first. */
  readonly states: readonly number[];
  /** Holds the first state. */
  readonly firstPackFile: string;
  readonly storeFolder: string;
  /** On the disk of the store. */
  readonly temporaryFolder: string;
  readonly uuid: string;
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: follow-child <order.json>");
const order = JSON.parse(await readFile(orderFile, "utf8")) as FollowOrder;
const { primary, history, states, uuid, temporaryFolder } = order;
const store = new FsBlobStore(order.storeFolder);
const storage = { store, blocks: new BlockCache(store) };

function upstreamAt(pushes: number): UpstreamGit {
  const isFirst = pushes === states[0];
  return {
    listRefs: async () => ({
      protocol: 2,
      head: { ref: history.branch },
      refs: refsBehind(history, pushes),
    }),
    fetchPack: ({ wants, haves }) =>
      isFirst
        ? createReadStream(order.firstPackFile)
        : uploadPack(encodeFetchRequestV2({ wants, haves, agent: "nearside-bench/1" })),
  };
}

async function* uploadPack(request: Uint8Array): AsyncGenerator<Uint8Array, void> {
  const child = spawn("git", ["upload-pack", "--stateless-rpc", primary], {
    env: { ...isolatedGitEnvironment(), GIT_PROTOCOL: "version=2" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(request);
  yield* readFetchResponse(child.stdout, { protocol: 2 });
}

for (const pushes of states) {
  const upstream = upstreamAt(pushes);
  await syncRepository(uuid, { storage, upstream, log: SILENT_LOGGER, temporaryFolder });
  await maintainRepository(uuid, { store, log: SILENT_LOGGER, name: BENCH_SLUG });
}
await writeName(store, BENCH_WORKSPACE, BENCH_SLUG, uuid);

/**
 * A first sync without its network: the pack comes from a file, the refs from the order. All else is the sync's own.
 * Prints what it asked of the store. `node test/bench/ingest-child.ts <order.json>`
 */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { UpstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import type { Head, Ref } from "../../lib/git/ports.ts";
import { type Logger, SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { prepareRepository } from "../../lib/sync/prepare-repository.ts";
import { DEFAULT_SYNC_LIMITS } from "../../lib/sync/sync-context.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { writeName } from "../support/named-repository.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { openBenchStore } from "./bench-store.ts";

export interface IngestOrder {
  readonly packFile: string;
  readonly storeFolder: string;
  /** Added to each request to the store. */
  readonly storeDelayMs: number;
  /** On the disk of the store. */
  readonly temporaryFolder: string;
  readonly workspace: string;
  readonly slug: string;
  readonly uuid: string;
  readonly head: Head;
  readonly refs: readonly Ref[];
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: ingest-child <order.json>");
const order = JSON.parse(await readFile(orderFile, "utf8")) as IngestOrder;
const { head, refs, uuid, temporaryFolder } = order;
const store = new CountingBlobStore(openBenchStore(order.storeFolder, order.storeDelayMs));
const upstream: UpstreamGit = {
  listRefs: async () => ({ protocol: 2, head, refs }),
  fetchPack: () => createReadStream(order.packFile),
};
const log: Logger = { ...SILENT_LOGGER, warn: (event, fields) => console.error(event, fields) };
const answers = new AnswerSharing({ store, temporaryFolder });
const storage = { store, blocks: new BlockCache(store), answers };
await syncRepository(uuid, {
  storage,
  upstream,
  log,
  limits: {
    ...DEFAULT_SYNC_LIMITS,
    maxPackBytes: Number.MAX_SAFE_INTEGER,
    sliceAboveBytes: Number.POSITIVE_INFINITY,
  },
  temporaryFolder,
});
await writeName(store, order.workspace, order.slug, uuid);
await prepareRepository(uuid, { storage, log });
console.log(JSON.stringify(store.counts()));

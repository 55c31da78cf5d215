/**
 * A first sync from a git server, in slices or whole. Prints what it asked of the store, and how many packs it has made.
 * `node test/bench/sliced-import-child.ts <order.json>`
 */
import { readFile } from "node:fs/promises";
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { DEFAULT_SYNC_LIMITS } from "../../lib/sync/sync-context.ts";
import { syncRepository } from "../../lib/sync/sync-repository.ts";
import { CountingBlobStore, type StoreCounts } from "../support/store/counting-blob-store.ts";

export interface SlicedImportOrder {
  readonly repositoryUrl: string;
  readonly storeFolder: string;
  readonly temporaryFolder: string;
  readonly uuid: string;
  /** As REST says it; slices are a share of it. */
  readonly expectedBytes: number;
  readonly isSliced: boolean;
}

export interface SlicedImportOutcome {
  readonly counts: StoreCounts;
  readonly slices: number;
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: sliced-import-child <order.json>");
const order = JSON.parse(await readFile(orderFile, "utf8")) as SlicedImportOrder;
const { repositoryUrl, uuid, temporaryFolder, expectedBytes, isSliced } = order;
const store = new CountingBlobStore(new FsBlobStore(order.storeFolder));
let slices = 0;
await syncRepository(uuid, {
  storage: { store, blocks: new BlockCache(store) },
  upstream: upstreamGit({ repositoryUrl, authorization: undefined, agent: "nearside/bench", fetch }),
  log: {
    ...SILENT_LOGGER,
    info: (event) => {
      if (event === "import:slice") slices++;
    },
    warn: (event, fields) => console.error(event, fields),
  },
  expectedBytes,
  limits: {
    ...DEFAULT_SYNC_LIMITS,
    maxPackBytes: Number.MAX_SAFE_INTEGER,
    sliceAboveBytes: isSliced ? 0 : Number.POSITIVE_INFINITY,
  },
  temporaryFolder,
});
console.log(JSON.stringify({ counts: store.counts(), slices } satisfies SlicedImportOutcome));

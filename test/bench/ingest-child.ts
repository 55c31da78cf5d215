/**
 * A first sync without its network: takes a pack from a file into a folder store, checks that everything is there and
 * publishes. Prints what it asked of the store. `node test/bench/ingest-child.ts <order.json>`
 */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { encodePackHistory } from "../../lib/git/history/pack-history.ts";
import type { ObjectId } from "../../lib/git/object-id.ts";
import type { Head, Ref } from "../../lib/git/ports.ts";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { writeName } from "../../lib/repo/names.ts";
import { publish } from "../../lib/repo/publish.ts";
import { CountingBlobStore } from "../../lib/store/counting-blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { assertConnected } from "../../lib/sync/connectivity.ts";
import { receivePack } from "../../lib/sync/receive-pack.ts";

export interface IngestOrder {
  readonly packFile: string;
  readonly storeFolder: string;
  readonly workspace: string;
  readonly slug: string;
  readonly uuid: string;
  readonly head: Head;
  readonly refs: readonly Ref[];
  readonly tips: readonly ObjectId[];
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: ingest-child <order.json>");
const order = JSON.parse(await readFile(orderFile, "utf8")) as IngestOrder;
const store = new CountingBlobStore(new FsBlobStore(order.storeFolder));
const keys = repositoryKeys(order.uuid);
const { pack, indexed } = await receivePack({
  store,
  keys,
  chunks: createReadStream(order.packFile),
  readBase: async () => undefined,
  maxPackBytes: Number.MAX_SAFE_INTEGER,
  onBytes: () => {},
  onIndex: () => {},
});
assertConnected(indexed, order.tips, undefined);
if (indexed.built === undefined || indexed.built.openRows.length > 0)
  throw new Error("the pack has no whole history");
const history = encodePackHistory(indexed.built.history);
await Promise.all([
  store.write(keys.packIndex(pack.id), indexed.index),
  store.write(keys.packHistory(pack.id), history),
]);
const now = new Date();
await publish(store, order.uuid, "absent", {
  head: order.head,
  refs: order.refs,
  packs: [{ ...pack, historyBytes: history.length }],
  mayHoldUnreachable: false,
  publishedAt: now,
  verifiedAt: now,
});
await writeName(store, order.workspace, order.slug, order.uuid);
console.log(JSON.stringify(store.counts()));

/**
 * Brings a repository with its LFS files into a folder store, as `nearside sync` does. Prints what was copied.
 * `node test/bench/lfs-sync-child.ts <order.json>`
 */
import { readFile } from "node:fs/promises";
import { startSyncing } from "../../functions/cli/sync.ts";
import { ProgressLine } from "../../functions/local/progress-line.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";

export interface LfsSyncOrder {
  /** With a `config.json`. */
  readonly storeFolder: string;
  readonly gitUrl: string;
  readonly apiUrl: string;
  readonly workspace: string;
  readonly uuid: string;
}

const [orderFile] = process.argv.slice(2);
if (orderFile === undefined) throw new Error("usage: lfs-sync-child <order.json>");
const { storeFolder, workspace, uuid, ...urls } = JSON.parse(
  await readFile(orderFile, "utf8"),
) as LfsSyncOrder;
const settings = { lfs: "tips", lfsMaxFileMib: 10_240, lfsRepositories: "*" } as const;
const syncing = startSyncing(
  new FsBlobStore(storeFolder),
  { store: storeFolder, ...urls, ...settings },
  new ProgressLine({ write: () => undefined }),
  (name, error) => {
    console.error(name, error);
    process.exitCode = 1;
  },
);
const queuedAt = new Date().toISOString();
const job = { kind: "repository", workspace, uuid, reason: "asked", queuedAt } as const;
await syncing.requests.request([{ job, eventId: queuedAt }]);
const { lfs } = await syncing.done();
console.log(JSON.stringify(lfs));

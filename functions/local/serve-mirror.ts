/** The local mirror's server: git, and the packs that clients fetch by themselves. */
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { AGENT } from "../../lib/config.ts";
import { errorFields } from "../../lib/errors.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import type { Logger } from "../../lib/log.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import type { Arguments } from "./arguments.ts";
import { openBlobUrls } from "./open-store.ts";

export interface ServedMirror {
  readonly server: NodeServer;
  readonly catalog: RepositoryCatalog;
}

export function storageOver(store: BlobStore, log: Logger): RepositoryStorage {
  const onDamage = (error: unknown, key: string): void =>
    log.error("store:damaged", { key, ...errorFields(error) });
  return { store, blocks: new BlockCache(store), onDamage };
}

/** Where the store is a folder, this server hands out its files. */
export async function serveMirror(
  storage: RepositoryStorage,
  options: Pick<Arguments, "store" | "s3Endpoint" | "port">,
  log: Logger,
): Promise<ServedMirror> {
  let serverUrl = "";
  const signed = new SignedBlobUrls({ serverUrl: () => serverUrl });
  const urls = openBlobUrls(options.store, options.s3Endpoint) ?? signed;
  const catalog = new RepositoryCatalog({ ...storage, urls });
  const git = gitHttp({ resolve: (...request) => catalog.resolve(...request), log, agent: AGENT });
  const blobs = blobHttp({ store: storage.store, urls: signed });
  const server = await startNodeServer(
    (request) => (request.path.startsWith(BLOB_PATH_PREFIX) ? blobs(request) : git(request)),
    { log, port: options.port },
  );
  serverUrl = server.url;
  return { server, catalog };
}

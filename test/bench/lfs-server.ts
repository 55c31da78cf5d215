/** The mirror's server for a bench: git, git-lfs, and files of a folder store, for everyone. */
import { blobHttp } from "../../lib/blob-http/blob-http.ts";
import { BLOB_PATH_PREFIX, SignedBlobUrls } from "../../lib/blob-http/signed-blob-urls.ts";
import { AGENT } from "../../lib/config.ts";
import { answerClonePlan } from "../../lib/git-http/clone-plan.ts";
import { gitHttp } from "../../lib/git-http/git-http.ts";
import { type NodeServer, startNodeServer } from "../../lib/http/node-server.ts";
import { CopyRequests } from "../../lib/lfs-http/copy-requests.ts";
import { KnownRights } from "../../lib/lfs-http/known-rights.ts";
import { lfsHttp } from "../../lib/lfs-http/lfs-http.ts";
import { type Logger, SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { BlobUrls } from "../../lib/store/blob-urls.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";

/** @param urls - By default addresses of the server itself. */
export async function startLfsServer(store: BlobStore, urls?: BlobUrls): Promise<NodeServer> {
  const log: Logger = { ...SILENT_LOGGER, error: (event, fields) => console.error(event, fields) };
  const onFailure = (error: unknown, key: string): void => log.error("answers:failed", { error, key });
  const answers = new AnswerSharing({ store, onFailure });
  const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store), answers });
  const signed = new SignedBlobUrls({ serverUrl: () => server.url });
  const { push } = OPEN_ACCESS;
  const git = gitHttp({
    ...OPEN_ACCESS,
    access: async ({ service }) =>
      service === "lfs"
        ? { kind: "allowed", primaryPath: `${BENCH_WORKSPACE}/${BENCH_SLUG}` }
        : { kind: "allowed" },
    find: (...request) => catalog.find(...request),
    lfs: lfsHttp({
      rights: new KnownRights({ store, blocks: new BlockCache(store) }, log),
      urls: urls ?? signed,
      copies: new CopyRequests(async () => undefined),
      fetch,
      push,
      log,
      agent: AGENT,
    }),
    clonePlan: answerClonePlan({ urls: urls ?? signed, gitUrl: push.gitUrl }),
    log,
    agent: AGENT,
  });
  const blobs = blobHttp({ store, urls: signed });
  const handler: typeof git = (request) =>
    request.path.startsWith(BLOB_PATH_PREFIX) ? blobs(request) : git(request);
  const server = await startNodeServer(handler, { log });
  return server;
}

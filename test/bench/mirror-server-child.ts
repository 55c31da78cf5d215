/**
 * The mirror's server over a folder store: `node test/bench/mirror-server-child.ts <folder> [<delay of each store request, ms>]`.
 * Prints its URL.
 */
import { AGENT } from "../../lib/config.ts";
import { type GitHttpOptions, gitHttp } from "../../lib/git-http/git-http.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import { type Logger, SILENT_LOGGER } from "../../lib/log.ts";
import { AnswerSharing } from "../../lib/repo/answers/answer-sharing.ts";
import { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { BlockCache } from "../../lib/store/block-cache.ts";
import { CountingBlobStore } from "../../lib/store/counting-blob-store.ts";
import { OPEN_ACCESS } from "../support/open-access.ts";
import { openBenchStore } from "./bench-store.ts";

const [storeFolder, delayMs = "0"] = process.argv.slice(2);
if (storeFolder === undefined) throw new Error("usage: mirror-server-child <folder> [<delay in ms>]");
const store = new CountingBlobStore(openBenchStore(storeFolder, Number(delayMs)));
const log: Logger = { ...SILENT_LOGGER, error: (event, fields) => console.error(event, fields) };
const onFailure = (error: unknown, key: string): void => log.error("answers:failed", { error, key });
const answers = new AnswerSharing({ store, onFailure });
const catalog = new RepositoryCatalog({ store, blocks: new BlockCache(store), answers });
const find: GitHttpOptions["find"] = (...request) => catalog.find(...request);
const { url } = await startNodeServer(gitHttp({ ...OPEN_ACCESS, find, log, agent: AGENT }), { log });

process.on("message", () => {
  process.send?.(store.counts());
  store.reset();
});
process.once("disconnect", () => process.exit());
console.log(url);

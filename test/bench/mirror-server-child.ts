/**
 * The mirror's server over a folder store: `node test/bench/mirror-server-child.ts <folder> [<delay of each store request, ms>]`.
 * Prints its URL.
 */
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { openBenchStore } from "./bench-store.ts";
import { startLfsServer } from "./lfs-server.ts";

const [storeFolder, delayMs = "0"] = process.argv.slice(2);
if (storeFolder === undefined) throw new Error("usage: mirror-server-child <folder> [<delay in ms>]");
const store = new CountingBlobStore(openBenchStore(storeFolder, Number(delayMs)));
const { url } = await startLfsServer(store);

process.on("message", () => {
  process.send?.(store.counts());
  store.reset();
});
process.once("disconnect", () => process.exit());
console.log(url);

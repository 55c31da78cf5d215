/**
 * The mirror's server over a folder store: `node test/bench/mirror-server-child.ts <folder> [<delay of each store request, ms> [<processes>]]`.
 * Prints its URL. Several processes share the address.
 */
import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { CountingBlobStore, type StoreCounts } from "../support/store/counting-blob-store.ts";
import { openBenchStore } from "./bench-store.ts";
import { startLfsServer } from "./lfs-server.ts";

const [storeFolder, delayMs = "0", processes = "1"] = process.argv.slice(2);
if (storeFolder === undefined)
  throw new Error("usage: mirror-server-child <folder> [<delay in ms> [<processes>]]");

async function serve(folder: string): Promise<string> {
  const store = new CountingBlobStore(openBenchStore(folder, Number(delayMs)));
  const { url } = await startLfsServer(store);
  process.on("message", () => {
    process.send?.(store.counts());
    store.reset();
  });
  return url;
}

/** Of all processes; the rounds are those of the one with the most. */
async function countsOf(workers: readonly Worker[]): Promise<StoreCounts> {
  const answers = workers.map(async (worker) => {
    const answered = once(worker, "message");
    worker.send("take-store-counts");
    const [counts] = (await answered) as [StoreCounts];
    return counts;
  });
  return (await Promise.all(answers)).reduce((sum, counts) => ({
    ...counts,
    requests: sum.requests + counts.requests,
    bytesRead: sum.bytesRead + counts.bytesRead,
    rounds: Math.max(sum.rounds, counts.rounds),
  }));
}

async function serveBySeveral(count: number): Promise<string> {
  const workers = Array.from({ length: count }, () => cluster.fork());
  const urls = await Promise.all(
    workers.map(async (worker) => {
      const [url] = (await once(worker, "message")) as [string];
      return url;
    }),
  );
  process.on("message", () => {
    void countsOf(workers).then((counts) => process.send?.(counts));
  });
  const [url] = urls;
  if (url === undefined || urls.some((one) => one !== url)) throw new Error("the processes share no address");
  return url;
}

process.once("disconnect", () => process.exit());
if (cluster.isWorker) process.send?.(await serve(storeFolder));
else console.log(await (processes === "1" ? serve(storeFolder) : serveBySeveral(Number(processes))));

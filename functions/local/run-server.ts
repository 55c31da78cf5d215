/** Starts and stops the process of `nearside serve`: settings, store, signals, exit. Not deployed. */
import { once } from "node:events";
import { pino } from "pino";
import { errorFields } from "../../lib/errors.ts";
import { startNodeServer } from "../../lib/http/node-server.ts";
import type { Logger } from "../../lib/log.ts";
import { pinoLogger } from "../../lib/log-pino.ts";
import { configReader, hasMirrorConfig, storeOptionSelection } from "../../lib/mirror/config-store.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { assertUsableStore } from "../cli/doctor/check-store.ts";
import { messageOf } from "../cli/explain.ts";
import { type Arguments, argumentConfig } from "./arguments.ts";
import { DEMO_FOLDER, type Demo, startDemo } from "./demo.ts";
import { type LocalMirror, localMirror } from "./local-mirror.ts";
import { MetricHistory } from "./metric-history.ts";
import { openStore } from "./open-store.ts";
import { LocalMetrics, measuringLogger, withOperations } from "./operations.ts";
import { ProgressLine } from "./progress-line.ts";
import { printReady, reasonsForNone } from "./ready-message.ts";
import { readAccount, readNamedAccount, readWebhookKey } from "./secrets.ts";
import { readTlsFiles, renewTls } from "./tls-files.ts";

/**
 * Serves and synchronizes until `stop` aborts.
 * @param demoFolder - Of a demo; by default one runs where nothing is configured.
 * @throws What prevents the start.
 */
export async function runServer(given: Arguments, stop: AbortSignal, demoFolder?: string): Promise<void> {
  const folder = demoFolder ?? ((await wantsDemo(given)) ? DEMO_FOLDER : undefined);
  const demo = folder === undefined ? undefined : await startDemo(folder);
  try {
    await serve({ ...given, ...demo?.arguments }, demo, stop);
  } finally {
    await demo?.close();
  }
}

/** Only where nothing is configured: neither by options or settings, nor by config.json. */
async function wantsDemo({ isDefault, store, s3Endpoint }: Arguments): Promise<boolean> {
  return isDefault && !(await hasMirrorConfig(openStore(store, s3Endpoint)));
}

async function serve(options: Arguments, demo: Demo | undefined, stop: AbortSignal): Promise<void> {
  const metrics = new LocalMetrics((name) => mirror?.queues[name]);
  const store = openStore(options.store, options.s3Endpoint, (kind) => metrics.storeRequest(kind));
  // Folders are known to do what the mirror needs.
  if (options.store.startsWith("s3://")) await assertUsableStore(store);
  const selection = argumentConfig(options, demo?.account ?? readAccount(process.env));
  const written = pinoLogger(options.verbose ? "debug" : "error", pino.destination({ fd: 2, sync: true }));
  const history = new MetricHistory();
  const log = measuringLogger(written, metrics, history);
  history.watch((name) => mirror?.queues[name], stop);
  const line = new ProgressLine(process.stderr);
  if (selection !== undefined && (await storeOptionSelection(store, selection)).isOverruled) {
    line.print(
      "config.json in the store was changed, by nearside select or by hand: it counts, and --workspace, --project and --repository do not.",
    );
  }
  let serverUrl = "";
  let mirror: LocalMirror | undefined;
  const readConfig = storedConfigReader(store, line, log);
  mirror = await localMirror({
    settings: options,
    store,
    log,
    line,
    stop,
    readConfig,
    history: () => history.read(),
    accountOf: async ({ credential }) => demo?.account ?? readNamedAccount(process.env, credential),
    serverUrl: () => serverUrl,
    webhookSecret: takesWebhooks(options, demo) ? readWebhookKey(process.env) : undefined,
  });
  const handler = withOperations(mirror.handler, { ...options, metrics, checkReady: readConfig });
  const tls = await readTlsFiles(options);
  const server = await startNodeServer(handler, {
    ...options,
    ...{ tls, log },
    isLongUpload: (path) => path.endsWith("/git-receive-pack"),
  });
  serverUrl = server.url;
  if (tls !== undefined)
    void renewTls(options, server, {
      stop,
      onFailed: (error) =>
        line.print(`${messageOf(error)}\nThe certificate that was read before stays in use.`),
    });
  // Requests may finish while syncs stop.
  const closed = (stop.aborted ? Promise.resolve() : once(stop, "abort")).then(() => {
    line.print("Stopping: running requests may finish within 5 s. A second signal ends the process at once.");
    return server.close();
  });
  try {
    await mirror.follow(options.webhookUrl ?? server.url, async () => {
      const names = await mirror.servedNames();
      printReady(
        server,
        names,
        options,
        demo?.gitUrl,
        names.length === 0 ? await reasonsForNone(store, await readConfig()) : [],
      );
    });
    await closed;
  } catch (error) {
    await server.close();
    throw error;
  }
}

function takesWebhooks({ webhookUrl }: Arguments, demo: Demo | undefined): boolean {
  return demo !== undefined || webhookUrl !== undefined;
}

function storedConfigReader(store: BlobStore, line: ProgressLine, log: Logger): () => Promise<MirrorConfig> {
  return configReader(store, {
    onInvalid: (error) =>
      line.print(
        `${messageOf(error)}\nThe last valid config.json stays in use. To check a correction: nearside config check`,
      ),
    copy: { onFailed: (error) => log.warn("config:copy-failed", errorFields(error)) },
  });
}

/** The whole mirror in one process, over a folder or a bucket: `npm start`. Not deployed. */
import { pino } from "pino";
import { ConfigError, MirrorError } from "../lib/errors.ts";
import { startNodeServer } from "../lib/http/node-server.ts";
import { pinoLogger } from "../lib/log-pino.ts";
import { CurrentConfig, readMirrorConfig } from "../lib/mirror/config-store.ts";
import { readAccount, readNamedAccount } from "./local/account.ts";
import { argumentConfig } from "./local/argument-config.ts";
import { type Arguments, parseArguments } from "./local/arguments.ts";
import { DEMO_ACCOUNT, DEMO_WORKSPACE, startDemoPrimary } from "./local/demo.ts";
import { describeError, localMirror, madeUpSecret } from "./local/local-mirror.ts";
import { openStore } from "./local/open-store.ts";
import { ProgressLine } from "./local/progress-line.ts";
import { announce } from "./local/ready-message.ts";

const DEMO_FOLDER = ".nearside/primary";
const DEMO_POLL_SECONDS = 2;

async function main(given: Arguments, stop: AbortSignal): Promise<void> {
  const store = openStore(given.store, given.s3Endpoint);
  const chosen = argumentConfig(given, readAccount(process.env));
  const isDemo = chosen === undefined && (await readMirrorConfig(store)) === undefined;
  const demo = isDemo ? await startDemoPrimary(DEMO_FOLDER) : undefined;
  const options = demo === undefined ? given : { ...given, ...demo, pollSeconds: DEMO_POLL_SECONDS };
  const config = isDemo ? argumentConfig({ ...given, workspace: [DEMO_WORKSPACE] }, DEMO_ACCOUNT) : chosen;
  const log = pinoLogger(options.verbose ? "debug" : "error", pino.destination({ fd: 2, sync: true }));
  const current = new CurrentConfig(store);
  const line = new ProgressLine(process.stderr);
  const takesWebhooks = isDemo || given.webhookUrl !== undefined;
  let serverUrl = "";
  const mirror = await localMirror({
    settings: options,
    store,
    log,
    line,
    stop,
    readConfig: config === undefined ? () => current.read() : async () => config,
    accountOf: async ({ credential }) => (isDemo ? DEMO_ACCOUNT : readNamedAccount(process.env, credential)),
    serverUrl: () => serverUrl,
    webhookSecret: takesWebhooks ? process.env["NEARSIDE_WEBHOOK_SECRET"] || madeUpSecret() : undefined,
  });
  const server = await startNodeServer(mirror.handler, { log, host: options.host, port: options.port });
  serverUrl = server.url;
  await mirror.follow(options.webhookUrl ?? server.url, async () =>
    announce(server, await mirror.servedNames(), options, demo?.gitUrl),
  );
  line.print("Stopping: requests that run may finish.");
  await Promise.all([server.close(), demo?.close()]);
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
  });
}
try {
  await main(parseArguments(process.argv.slice(2)), stopping.signal);
  process.exit(0);
} catch (error) {
  const isPortTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  const hint = isPortTaken ? "; choose another with --port, or --port 0 for a free one" : "";
  const text =
    error instanceof MirrorError || isPortTaken
      ? describeError(error)
      : String((error as Error).stack ?? error);
  process.stderr.write(`nearside: ${text}${hint}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}

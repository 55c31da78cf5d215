/** `nearside demo` */
import { Command } from "commander";
import { type Arguments, serverArguments, serverOptions } from "../local/arguments.ts";
import { DEMO_FOLDER } from "../local/demo.ts";
import { runServer } from "../local/run-server.ts";
import { addSettings } from "../wiring/setting-options.ts";
import { untilStopped } from "./serve.ts";

const EXPLANATION = `
Needs git, and no account at Bitbucket. What is pushed to the small Bitbucket Cloud stays in the folder; remove it to start again.

Examples:
  nearside demo
  nearside demo --port 0 /tmp/nearside-demo`;

export function configure(command: Command): void {
  addSettings(command, ["host", "port"])
    .argument("[folder]", "for the repository and its mirror", DEMO_FOLDER)
    .option("--json", "print one JSON object with the URLs when the mirror is ready")
    .option("--verbose", "log every sync and every failed request to standard error")
    .addHelpText("after", EXPLANATION)
    .action(demo);
}

async function demo(folder: string, options: Partial<Arguments>): Promise<void> {
  const defaults = serverArguments(serverOptions(new Command()));
  await runServer({ ...defaults, ...options }, untilStopped(), folder);
}

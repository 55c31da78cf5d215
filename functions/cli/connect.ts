/** `nearside connect` */
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { connectWorkspace } from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { findWorkspace } from "../../lib/mirror/mirror-config.ts";
import { type PrimaryOptions, primaryOptions, print, storeOf } from "./command-options.ts";
import { tryAccount } from "./try-account.ts";

interface ConnectOptions extends PrimaryOptions {
  readonly credential?: string;
  readonly check: boolean;
}

const EXPLANATION = `
Nothing is mirrored until nearside select. Without --credential only public repositories are, and changes are found by polling
alone. A workspace that was removed is restored, with what is left of its data.
Exit codes: 0 connected; 1 failed; 2 wrong arguments or settings, or Bitbucket rejects the account.`;

export function connectCommand(command: Command): void {
  primaryOptions(command)
    .argument("<workspace>", "its id, as in Bitbucket's addresses")
    .option("--credential <name>", "name of the account's secret, never the secret itself")
    .option("--no-check", "do not check the account with Bitbucket")
    .addHelpText("after", EXPLANATION)
    .action(connect);
}

async function connect(workspace: string, options: ConnectOptions): Promise<void> {
  const { credential, check } = options;
  const store = storeOf(options);
  // Wrong names fail before Bitbucket is asked.
  if (check) await tryAccount(workspace, credential, options);
  const config = await changeMirrorConfig(store, (before) => connectWorkspace(before, workspace, credential));
  const connected = findWorkspace(config, workspace);
  if (connected === undefined) throw new ConfigError(`${workspace} was removed by another process just now`);
  const isEmpty = connected.projects !== "all" && connected.projects.length + connected.include.length === 0;
  print(`${workspace} is connected.`);
  if (isEmpty)
    print(`Now select its repositories, for example all:\n  npx nearside select ${workspace} --all`);
}

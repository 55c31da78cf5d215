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
Nothing of it is mirrored until nearside select says what. Without --credential only public repositories are, and changes are found
by asking alone. A workspace that was removed comes back as it was, with what is left of its data.
Exit codes: 0 connected; 1 failed; 2 wrong arguments or settings, or Bitbucket does not take the account.`;

export function connectCommand(command: Command): void {
  primaryOptions(command)
    .argument("<workspace>", "its id, as in Bitbucket's addresses")
    .option("--credential <name>", "of the account's secret, never the secret itself")
    .option("--no-check", "do not ask Bitbucket whether it takes the account")
    .addHelpText("after", EXPLANATION)
    .action(connect);
}

async function connect(workspace: string, options: ConnectOptions): Promise<void> {
  const { credential, check } = options;
  const store = storeOf(options);
  // Wrong names are found before Bitbucket is asked.
  if (check) await tryAccount(workspace, credential, options);
  const config = await changeMirrorConfig(store, (before) => connectWorkspace(before, workspace, credential));
  const connected = findWorkspace(config, workspace);
  if (connected === undefined) throw new ConfigError(`${workspace} was removed by another process just now`);
  const isEmpty = connected.projects !== "all" && connected.projects.length + connected.include.length === 0;
  print(`${workspace} is connected.`);
  if (isEmpty)
    print(`Now say what of it to mirror, all of it for example:\n  npx nearside select ${workspace} --all`);
}

/** `nearside reconnect` */
import type { Command } from "commander";
import { accountName, connectedWorkspace, reconnectWorkspace } from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { configOf, type PrimaryOptions, primaryOptions, print, storeOf } from "./command-options.ts";
import { tryAccount } from "./try-account.ts";

interface ReconnectOptions extends PrimaryOptions {
  readonly credential?: string;
  readonly check: boolean;
}

const EXPLANATION = `
The mirrored repositories stay. Without --credential the workspace has no account: private repositories are no longer served.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings, or Bitbucket rejects the account.`;

export function reconnectCommand(command: Command): void {
  primaryOptions(command)
    .argument("<workspace>", "one that is connected")
    .option("--credential <name>", "name of the account's secret, never the secret itself")
    .option("--no-check", "do not check the account with Bitbucket")
    .addHelpText("after", EXPLANATION)
    .action(reconnect);
}

async function reconnect(workspace: string, options: ReconnectOptions): Promise<void> {
  const { credential, check } = options;
  const store = storeOf(options);
  connectedWorkspace(await configOf(store), workspace);
  if (check) await tryAccount(workspace, credential, options);
  await changeMirrorConfig(store, (config) => reconnectWorkspace(config, workspace, credential));
  print(`${workspace} is connected with ${accountName(credential)}.`);
}

/** `nearside connect`, `reconnect`, `pause`, `resume` and `remove`: what is done to a workspace of the configuration. */
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import {
  accountName,
  connectedWorkspace,
  connectWorkspace,
  pauseWorkspace,
  reconnectWorkspace,
  removeWorkspace,
} from "../../lib/mirror/change-workspaces.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { findWorkspace, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { tryAccount } from "../wiring/try-account.ts";
import { ask } from "./ask.ts";
import {
  bitbucketOf,
  configOf,
  type PrimaryOptions,
  parseDays,
  primaryOptions,
  print,
  type StoreOptions,
  storeOf,
  storeOptions,
} from "./command-options.ts";

interface AccountOptions extends PrimaryOptions {
  readonly credential?: string;
  readonly check: boolean;
}

const CONNECT_EXPLANATION = `
Nothing is mirrored until nearside select. Without --credential a terminal is asked for it; without a terminal, or with an empty
answer, only public repositories are mirrored, and changes are found by polling alone. A workspace that was removed is restored, with what is left of its data.
Exit codes: 0 connected; 1 failed; 2 wrong arguments or settings, or Bitbucket rejects the account.`;

const RECONNECT_EXPLANATION = `
The mirrored repositories stay. Without --credential the workspace has no account: private repositories are no longer served.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings, or Bitbucket rejects the account.`;

const REMOVE_EXPLANATION = `
Serving stops at once. The mirror's next round deletes the webhooks, and the data and the entry after the retention time. Until then
nearside connect restores all of it.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

const COMMANDS: Readonly<Record<string, (command: Command) => unknown>> = {
  connect: (command) =>
    accountOptions(command.argument("<workspace>", "its id, as in Bitbucket's addresses"))
      .addHelpText("after", CONNECT_EXPLANATION)
      .action(connect),
  reconnect: (command) =>
    accountOptions(command.argument("<workspace>", CONNECTED))
      .addHelpText("after", RECONNECT_EXPLANATION)
      .action(reconnect),
  pause: (command) =>
    pausing(
      command,
      true,
      (name) => `${name} is paused: nothing of it is served. To resume:\n  nearside resume ${name}`,
    ),
  resume: (command) =>
    pausing(
      command,
      false,
      (name) => `${name} is served again, in the state of when it was paused; the next sync brings changes.`,
    ),
  remove: (command) =>
    storeOptions(command)
      .argument("<workspace>", CONNECTED)
      .option("--retention-days <number>", "how long its data is kept from now on", parseDays)
      .addHelpText("after", REMOVE_EXPLANATION)
      .action(remove),
};

const CONNECTED = "one that is connected";

export function configure(command: Command): void {
  COMMANDS[command.name()]?.(command);
}

function accountOptions(command: Command): Command {
  return primaryOptions(command)
    .option("--credential <name>", "name of the account's secret, never the secret itself")
    .option("--no-check", "do not check the account with Bitbucket");
}

/** Asked for, where a person is there. */
async function credentialFor(workspace: string): Promise<string | undefined> {
  const question = `Name of the secret with the account for ${workspace}; nothing for public repositories only: `;
  return (await ask(question, { input: process.stdin, output: process.stderr })) || undefined;
}

async function connect(workspace: string, given: AccountOptions): Promise<void> {
  const credential = given.credential ?? (await credentialFor(workspace));
  const { check } = given;
  const options = { ...given, ...(credential !== undefined && { credential }) };
  // Wrong names fail before Bitbucket is asked.
  if (check) await checkAccount(workspace, options);
  const config = await changeMirrorConfig(storeOf(options), (before) =>
    connectWorkspace(before, workspace, credential),
  );
  const connected = findWorkspace(config, workspace);
  if (connected === undefined) throw new ConfigError(`${workspace} was removed by another process just now`);
  const isEmpty = connected.projects !== "all" && connected.projects.length + connected.include.length === 0;
  print(`${workspace} is connected.`);
  if (isEmpty) print(`Now select its repositories, for example all:\n  nearside select ${workspace} --all`);
}

async function reconnect(workspace: string, options: AccountOptions): Promise<void> {
  const { credential, check } = options;
  const store = storeOf(options);
  connectedWorkspace(await configOf(store), workspace);
  if (check) await checkAccount(workspace, options);
  await changeMirrorConfig(store, (config) => reconnectWorkspace(config, workspace, credential));
  print(`${workspace} is connected with ${accountName(credential)}.`);
}

async function checkAccount(name: string, options: AccountOptions): Promise<void> {
  const { credential } = options;
  const { workspaces } = mirrorConfigOf([
    { workspace: name, projects: [], ...(credential !== undefined && { credential }) },
  ]);
  for (const workspace of workspaces) {
    const example = await tryAccount(workspace, bitbucketOf(options)).catch((error: unknown) => {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(`${error.message} (--no-check does without this check)`, { cause: error.cause });
    });
    print(`Bitbucket accepts the account: it shows ${example}, for example.`);
  }
}

function pausing(command: Command, isPaused: boolean, message: (workspace: string) => string): void {
  storeOptions(command)
    .argument("<workspace>", CONNECTED)
    .addHelpText("after", "\nExit codes: 0 done; 1 failed; 2 wrong arguments or settings.")
    .action(async (workspace: string, options: StoreOptions) => {
      await changeMirrorConfig(storeOf(options), (config) => pauseWorkspace(config, workspace, isPaused));
      print(message(workspace));
    });
}

async function remove(
  workspace: string,
  { retentionDays, ...options }: StoreOptions & { readonly retentionDays?: number },
): Promise<void> {
  const config = await changeMirrorConfig(storeOf(options), (before) =>
    removeWorkspace(before, workspace, { at: new Date(), retentionDays }),
  );
  const removed = findWorkspace(config, workspace);
  if (removed?.removedAt === undefined)
    throw new ConfigError(`${workspace} was changed by another process just now`);
  const goesAt = new Date(Date.parse(removed.removedAt) + removed.retentionDays * 86_400_000);
  const account = removed.credential === undefined ? "" : ` --credential ${removed.credential}`;
  print(`${workspace} is no longer served. Its data will be deleted after ${goesAt.toISOString()}. To keep it:
  nearside connect ${workspace}${account}`);
}

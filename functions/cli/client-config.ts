/** `nearside client-config` */
import { type Command, InvalidArgumentError } from "commander";
import {
  clientConfig,
  SETUP_OPTIONS,
  type SetupOption,
  USERNAME_HELP,
  USERNAME_PATTERN,
  usernameConfig,
} from "../../lib/pages/client-setup.ts";
import { addSettings } from "../wiring/setting-options.ts";
import { parseUrlArgument } from "./command-options.ts";

const EXPLANATION = `
To add them for one user:  nearside client-config https://mirror.example.com >> ~/.gitconfig
The mirror's own https://mirror.example.com/-/setup.sh adds the same lines, and takes them out again.`;

export function configure(command: Command): void {
  addSettings(command, ["gitUrl"]).argument("<mirror-url>", "the mirror's address", parseUrlArgument);
  for (const name of Object.keys(SETUP_OPTIONS) as SetupOption[])
    command.option(`--${name}`, SETUP_OPTIONS[name]);
  command.option("--username <name>", USERNAME_HELP, collectUsername, []);
  command.addHelpText("after", EXPLANATION).action(printConfig);
}

type Options = { readonly gitUrl: string } & { readonly [Name in SetupOption]?: true } & {
  readonly username: readonly string[];
};

function collectUsername(name: string, before: readonly string[]): string[] {
  if (!new RegExp(`^${USERNAME_PATTERN}$`).test(name))
    throw new InvalidArgumentError("Expected letters, digits, and ._%+-");
  return [...before, name];
}

function printConfig(mirrorUrl: string, { gitUrl, username, ...chosen }: Options): void {
  const setup = { mirrorUrl, primaryUrl: gitUrl };
  const names = (Object.keys(SETUP_OPTIONS) as SetupOption[]).filter((name) => chosen[name]);
  const parts = [undefined, ...names].map((name) => clientConfig(setup, name));
  process.stdout.write(parts.concat(username.map((name) => usernameConfig(setup, name))).join(""));
}

/** `nearside client-config` */
import type { Command } from "commander";
import { clientConfig, SETUP_OPTIONS, type SetupOption } from "../../lib/pages/client-setup.ts";
import { addSettings } from "../wiring/setting-options.ts";
import { parseUrlArgument } from "./command-options.ts";

const EXPLANATION = `
To add them for one user:  nearside client-config https://mirror.example.com >> ~/.gitconfig
The mirror's own https://mirror.example.com/-/setup.sh adds the same lines, and takes them out again.`;

export function configure(command: Command): void {
  addSettings(command, ["gitUrl"]).argument("<mirror-url>", "the mirror's address", parseUrlArgument);
  for (const name of Object.keys(SETUP_OPTIONS) as SetupOption[])
    command.option(`--${name}`, SETUP_OPTIONS[name]);
  command.addHelpText("after", EXPLANATION).action(printConfig);
}

type Options = { readonly gitUrl: string } & { readonly [Name in SetupOption]?: true };

function printConfig(mirrorUrl: string, { gitUrl, ...chosen }: Options): void {
  const setup = { mirrorUrl, primaryUrl: gitUrl };
  const names = (Object.keys(SETUP_OPTIONS) as SetupOption[]).filter((name) => chosen[name]);
  process.stdout.write([undefined, ...names].map((name) => clientConfig(setup, name)).join(""));
}

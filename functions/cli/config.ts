/** `nearside config` */
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { configJsonSchema } from "../../lib/mirror/config-json-schema.ts";
import { readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { type MirrorConfig, parseMirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { print, type StoreOptions, storeOf, storeOptions } from "./command-options.ts";
import { settingsExample } from "./settings-example.ts";

const EXPLANATION = `
Checks nearside.config.json (settings, if there is one), and config.json (what is mirrored): the store's, or the file that is named, before
it is copied there. A running server keeps the last valid config.json in use; with an invalid one none starts.
Exit codes: 0 valid; 1 failed; 2 not valid, or wrong arguments.`;

const EXAMPLE_EXPLANATION = `
To begin with: nearside config example > nearside.config.json. All of it is commented out, so it changes nothing.
Exit codes: 0 printed; 2 wrong arguments.`;

const SCHEMA_EXPLANATION = `
To have an editor check a copy of config.json: store the output beside it as config.schema.json, and begin the file with
  "$schema": "./config.schema.json"
config check finds more: a workspace that is named twice, for example.
Exit codes: 0 printed; 2 wrong arguments.`;

export function configure(command: Command): void {
  command
    .addCommand(
      storeOptions(new Command("check").description("check both configuration files, and change nothing"))
        .argument("[file]", "to check in place of the store's config.json")
        .addHelpText("after", EXPLANATION)
        .action(check),
    )
    .addCommand(
      new Command("example")
        .description("print a nearside.config.json with every setting, what it is for, and its default")
        .addHelpText("after", EXAMPLE_EXPLANATION)
        .action(() => print(settingsExample())),
    )
    .addCommand(
      new Command("schema")
        .description("print the JSON Schema of config.json, for editors and checks")
        .addHelpText("after", SCHEMA_EXPLANATION)
        .action(() => print(JSON.stringify(configJsonSchema(), undefined, 2))),
    );
}

/** nearside.config.json is read, and so checked, before any command runs. */
async function check(file: string | undefined, options: StoreOptions): Promise<void> {
  const config = file === undefined ? await readMirrorConfig(storeOf(options)) : await read(file);
  if (config === undefined) print(`There is no config.json in ${options.store}: nothing is mirrored.`);
  else print(`config.json is valid: ${describe(config)}.`);
}

async function read(file: string): Promise<MirrorConfig> {
  try {
    return parseMirrorConfig(await readFile(file));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${file} cannot be read`, { cause: error });
  }
}

function describe({ workspaces }: MirrorConfig): string {
  const names = workspaces.map(({ workspace }) => workspace);
  return names.length === 0 ? "it selects nothing" : `it selects from ${names.join(", ")}`;
}

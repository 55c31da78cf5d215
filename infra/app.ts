/** `cdk synth` and `cdk deploy` start here: bundles the functions, then describes the stacks. Needs no AWS access. */
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import cdkJson from "../cdk.json" with { type: "json" };
import { readSettingsFile } from "../lib/settings-file.ts";
import { bundleFunction, FUNCTION_NAMES, FUNCTION_SOURCES, type FunctionName } from "./bundle.ts";
import { addMirrors } from "./mirrors.ts";
import { deploymentSettings, describeReach, settingsFileOf } from "./settings.ts";

// The CLI hands the same over in a checkout; a package has no cdk.json.
const app = new App({ context: cdkJson.context });
const settings = deploymentSettings(readSettingsFile(settingsFileOf(app.node)));
process.stderr.write(`${describeReach(settings)}\n`);
const codeFolders = Object.fromEntries(
  await Promise.all(FUNCTION_NAMES.map(async (name) => [name, await bundled(name)] as const)),
) as Record<FunctionName, string>;
addMirrors(app, settings, codeFolders);

async function bundled(name: FunctionName): Promise<string> {
  // In a package (infra/package.ts) they are beside this file.
  if (import.meta.url.endsWith(".mjs")) return join(import.meta.dirname, name);
  // A fixed place: source maps name their sources relative to it, so another place would look like changed code.
  const outputFolder = join(import.meta.dirname, "..", "cdk.out", "bundles", name);
  await bundleFunction(FUNCTION_SOURCES[name], outputFolder);
  return outputFolder;
}

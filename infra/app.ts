/** `cdk synth` and `cdk deploy` start here: bundles the functions, then describes the stacks. Needs no AWS access. */
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import cdkJson from "../cdk.json" with { type: "json" };
import { isSettingsFileMissing, MISSING_SETTINGS_FILE, readSettingsFile } from "../lib/settings-file.ts";
import { bundleFunction, FUNCTION_NAMES, FUNCTION_SOURCES, type FunctionName } from "./bundle.ts";
import { addMirrors, refuseDeployment } from "./mirrors.ts";
import { adviceAboutAlarms, deploymentSettings, describeReach, settingsFileOf } from "./settings.ts";

// The CLI hands the same over in a checkout; a package has no cdk.json.
const app = new App({ context: cdkJson.context });
const settingsFile = settingsFileOf(app.node);
const isMissing = isSettingsFileMissing(settingsFile);
const settings = deploymentSettings(readSettingsFile(settingsFile));
process.stderr.write(`${isMissing ? MISSING_SETTINGS_FILE : describeReach(settings)}\n`);
const alarmAdvice = adviceAboutAlarms(settings);
if (alarmAdvice !== undefined) process.stderr.write(`${alarmAdvice}\n`);
const codeFolders = Object.fromEntries(
  await Promise.all(FUNCTION_NAMES.map(async (name) => [name, await bundled(name)] as const)),
) as Record<FunctionName, string>;
const mirrors = addMirrors(app, settings, codeFolders);
if (isMissing) refuseDeployment(mirrors, MISSING_SETTINGS_FILE);

async function bundled(name: FunctionName): Promise<string> {
  // In a package (infra/package.ts) they are beside this file.
  if (import.meta.url.endsWith(".mjs")) return join(import.meta.dirname, name);
  // A fixed place: source maps name their sources relative to it, so another place would look like changed code.
  const outputFolder = join(import.meta.dirname, "..", "cdk.out", "bundles", name);
  await bundleFunction(FUNCTION_SOURCES[name], outputFolder);
  return outputFolder;
}

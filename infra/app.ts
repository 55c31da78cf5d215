/** `cdk synth` and `cdk deploy` start here: bundles the functions, then describes the stacks. Needs no AWS access. */
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { readSettingsFile } from "../lib/settings-file.ts";
import { bundleFunction, FUNCTION_SOURCES, type FunctionSource } from "./bundle.ts";
import { ServiceStack } from "./service-stack.ts";
import { deploymentSettings, describeReach, settingsFileOf } from "./settings.ts";
import { StorageStack } from "./storage-stack.ts";

const app = new App();
const settings = deploymentSettings(readSettingsFile(settingsFileOf(app.node)));
process.stderr.write(`${describeReach(settings)}\n`);
const names = Object.keys(FUNCTION_SOURCES) as (keyof typeof FUNCTION_SOURCES)[];
const folders = await Promise.all(names.map((name) => bundled(name, FUNCTION_SOURCES[name])));
const codeFolders = Object.fromEntries(names.map((name, index) => [name, folders[index]])) as Record<
  keyof typeof FUNCTION_SOURCES,
  string
>;

const storage = new StorageStack(app, `${settings.stackPrefix}-Storage`, {
  allowedAddresses: settings.allowedAddresses,
});
new ServiceStack(app, `${settings.stackPrefix}-Service`, {
  bucket: storage.bucket,
  authSecret: storage.authSecret,
  settings,
  codeFolders,
});

async function bundled(name: string, source: FunctionSource): Promise<string> {
  // In a package (infra/package.ts) they are beside this file.
  if (import.meta.url.endsWith(".mjs")) return join(import.meta.dirname, name);
  // A fixed place: source maps name their sources relative to it, so another place would look like changed code.
  const outputFolder = join(import.meta.dirname, "..", "cdk.out", "bundles", name);
  await bundleFunction(source, outputFolder);
  return outputFolder;
}

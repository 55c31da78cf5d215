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
const codeFolders = {
  authorizer: await bundled("authorizer", FUNCTION_SOURCES.authorizer),
  gitHttp: await bundled("git-http", FUNCTION_SOURCES.gitHttp),
  sync: await bundled("sync", FUNCTION_SOURCES.sync),
  lfsSync: await bundled("lfs-sync", FUNCTION_SOURCES.lfsSync),
  webhook: await bundled("webhook", FUNCTION_SOURCES.webhook),
  relay: await bundled("relay", FUNCTION_SOURCES.relay),
  reconcile: await bundled("reconcile", FUNCTION_SOURCES.reconcile),
};

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
  // A fixed place: source maps name their sources relative to it, so another place would look like changed code.
  const outputFolder = join(import.meta.dirname, "..", "cdk.out", "bundles", name);
  await bundleFunction(source, outputFolder);
  return outputFolder;
}

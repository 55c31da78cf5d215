/** The deployment as templates. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, type Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll } from "vitest";
import { ServiceStack } from "../../infra/service-stack.ts";
import { deploymentSettings } from "../../infra/settings.ts";
import { StorageStack } from "../../infra/storage-stack.ts";
import { parseSettingsFile } from "../../lib/settings-file.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "nearside-infra-"));
const CODE_FOLDER = join(FOLDER, "code");
mkdirSync(CODE_FOLDER);
writeFileSync(join(CODE_FOLDER, "index.mjs"), "export const handler = () => {};\n");
// Not at the process's exit: vitest ends its workers without one.
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));
let appCount = 0;

/**
 * The stacks, for tests that look at templates and run no function.
 * @param file - The content of `nearside.config.json`.
 */
export function deployment(file: object = {}): {
  app: App;
  storage: Stack;
  service: Stack;
} {
  // Without `outdir` CDK makes a folder of its own in the temporary folder, and leaves it there.
  const app = new App({ outdir: join(FOLDER, `out-${appCount++}`) });
  const settings = deploymentSettings(parseSettingsFile(JSON.stringify(file), "the test's file"));
  const storage = new StorageStack(app, "Storage", { allowedAddresses: settings.allowedAddresses });
  const functions = ["authorizer", "gitHttp", "sync", "lfsSync", "webhook", "reconcile", "relay"] as const;
  const service = new ServiceStack(app, "Service", {
    bucket: storage.bucket,
    authSecret: storage.authSecret,
    settings,
    codeFolders: Object.fromEntries(functions.map((name) => [name, CODE_FOLDER])) as Record<
      (typeof functions)[number],
      string
    >,
  });
  return { app, storage, service };
}

interface Policy {
  readonly Properties: {
    readonly PolicyDocument: {
      readonly Statement: readonly {
        readonly Action: string | readonly string[];
        readonly Resource: unknown;
      }[];
    };
  };
}

/** What the role of the function with construct id `id` may do, one "action resource" a line. */
export function permissions(service: Stack, id: string): string[] {
  const policies = Object.entries(Template.fromStack(service).findResources("AWS::IAM::Policy"));
  return policies
    .filter(([logicalId]) => logicalId.startsWith(id))
    .flatMap(([, policy]) => (policy as Policy).Properties.PolicyDocument.Statement)
    .flatMap(({ Action, Resource }) =>
      [Action].flat().map((action) => `${action} ${JSON.stringify(Resource)}`),
    );
}

/** The deployment as templates. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, type Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { ServiceStack } from "../../infra/service-stack.ts";
import { readSettings } from "../../infra/settings.ts";
import { StorageStack } from "../../infra/storage-stack.ts";

const CODE_FOLDER = mkdtempSync(join(tmpdir(), "nearside-infra-"));
writeFileSync(join(CODE_FOLDER, "index.mjs"), "export const handler = () => {};\n");
process.once("exit", () => rmSync(CODE_FOLDER, { recursive: true, force: true }));

/** The stacks, of functions whose templates are looked at, not run. */
export function deployment(context: Record<string, string> = {}): {
  app: App;
  storage: Stack;
  service: Stack;
} {
  const app = new App({ context });
  const storage = new StorageStack(app, "Storage");
  const functions = ["authorizer", "gitHttp", "sync", "webhook", "reconcile", "relay"] as const;
  const service = new ServiceStack(app, "Service", {
    bucket: storage.bucket,
    authSecret: storage.authSecret,
    settings: readSettings(app.node),
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

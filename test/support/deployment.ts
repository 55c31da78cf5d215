/** The deployment as templates. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, type Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll } from "vitest";
import cdkJson from "../../cdk.json" with { type: "json" };
import { FUNCTION_NAMES, type FunctionName } from "../../infra/bundle.ts";
import { addMirrors, type Mirror } from "../../infra/mirrors.ts";
import { deploymentSettings } from "../../infra/settings.ts";
import { parseSettingsFile } from "../../lib/settings-file.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "nearside-infra-"));
const CODE_FOLDER = join(FOLDER, "code");
mkdirSync(CODE_FOLDER);
writeFileSync(join(CODE_FOLDER, "index.mjs"), "export const handler = () => {};\n");
// Not at the process's exit: vitest ends its workers without one.
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));
let appCount = 0;

/** The stacks of the first region, for tests that look at templates and run no function. @param file - The content of `nearside.config.json`. */
export function deployment(file: object = {}): Mirror & { app: App } {
  const { app, mirrors } = deployments(file);
  const [first] = mirrors;
  if (first === undefined) throw new Error("no mirror");
  return { app, ...first };
}

/** Of all regions. */
export function deployments(file: object): { app: App; mirrors: Mirror[] } {
  // Without `outdir` CDK makes a folder of its own in the temporary folder, and leaves it there.
  const app = new App({ outdir: join(FOLDER, `out-${appCount++}`), context: cdkJson.context });
  const settings = deploymentSettings(parseSettingsFile(JSON.stringify(file), "the test's file"));
  const codeFolders = Object.fromEntries(FUNCTION_NAMES.map((name) => [name, CODE_FOLDER]));
  return { app, mirrors: addMirrors(app, settings, codeFolders as Record<FunctionName, string>) };
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

/** `nearside deploy`: CDK's own commands on the app in infra/, with the settings file. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import {
  type FileSettings,
  isSettingsFileMissing,
  MISSING_SETTINGS_FILE,
  readSettingsFile,
  SETTINGS_FILE,
} from "../../lib/settings-file.ts";
import packageJson from "../../package.json" with { type: "json" };
import { describe } from "./doctor/finding.ts";
import { explain, Findings } from "./explain.ts";

interface DeployOptions {
  readonly config?: string;
  readonly plan?: true;
  readonly yes?: true;
}

const EXPLANATION = `
Runs "cdk deploy --all", or with --plan "cdk diff": the same can be done by hand, with -c config=<file> for another settings file. Both
say first who can reach the API. CDK asks before it changes permissions, unless --yes is given. An account and region are prepared once
with "npx cdk bootstrap". Nothing is started in an account where the deployment cannot succeed: without that, without the concurrency that
is reserved, or without API Gateway's role for logs. "nearside doctor --quotas --permissions" checks more.
Exit codes: those of cdk; 2 for wrong settings; 3 if nothing was started for the account's sake.`;

export function configure(command: Command): void {
  command
    .option("--config <file>", `settings; ${SETTINGS_FILE} in the current folder by default`)
    .option("--plan", "show who can reach the API and what would change, and change nothing")
    .option("--yes", "do not ask before permissions change")
    .addHelpText("after", EXPLANATION)
    .action(deploy);
}

/** Its exit code is that of cdk. */
async function deploy({ config, plan, yes }: DeployOptions): Promise<void> {
  // What is wrong with the settings is said before anything is started.
  if (isSettingsFileMissing(config)) throw new ConfigError(MISSING_SETTINGS_FILE);
  const settings = readSettingsFile(config);
  const program = cdkProgram();
  const isBlocked = await reportQuotas(settings);
  if (isBlocked && !plan) throw new Findings();
  const args = [
    ...(plan ? ["diff"] : ["deploy", "--all", ...(yes ? ["--require-approval", "never"] : [])]),
    ...["--app", [process.execPath, appFile()].map(shellWord).join(" ")],
    ...(config === undefined ? [] : ["--context", `config=${config}`]),
  ];
  const child = spawn(process.execPath, [program, ...args], { stdio: "inherit" });
  const [exitCode] = (await once(child, "exit")) as [number | null];
  if (exitCode !== 0) process.exit(exitCode ?? 1);
}

/** On stderr. @returns Whether a deployment cannot succeed. What AWS does not let the caller ask is left to the deployment. */
async function reportQuotas(settings: FileSettings): Promise<boolean> {
  const { awsAccount } = await import("./doctor/aws-account.ts");
  const { checkQuotas } = await import("./doctor/check-aws.ts");
  let isBlocked = false;
  for (const region of settings.regions?.split(",") ?? [undefined]) {
    try {
      const aws = await awsAccount(process.env["AWS_ENDPOINT_URL"], region);
      for await (const finding of checkQuotas(settings, aws)) {
        if (finding.status === "fail") process.stderr.write(`${describe(finding)}\n`);
        isBlocked ||= finding.blocksDeployment === true;
      }
    } catch (error) {
      process.stderr.write(`The account's quotas are not checked: ${explain(error)}\n`);
    }
  }
  if (isBlocked) process.stderr.write("A deployment with these settings would fail in this account.\n");
  return isBlocked;
}

/** For a POSIX shell, to which cdk gives the command. Quotes will not do: cdk takes those at both ends of a command away. */
function shellWord(text: string): string {
  return text.replace(/[^\w@%+=:,./-]/g, "\\$&");
}

/** In a package (infra/package.ts) the app is bundled. */
function appFile(): string {
  const isBundled = import.meta.url.endsWith(".mjs");
  return fileURLToPath(new URL(isBundled ? "../deploy/app.mjs" : "../../infra/app.ts", import.meta.url));
}

/** From the folder that the command is started in, as npx finds it: a package brings none. */
function cdkProgram(): string {
  try {
    return createRequire(join(process.cwd(), "index.js")).resolve("aws-cdk/bin/cdk");
  } catch (error) {
    const { dependencies, devDependencies } = packageJson;
    const versions = [
      `aws-cdk@${devDependencies["aws-cdk"]}`,
      `aws-cdk-lib@${dependencies["aws-cdk-lib"]}`,
      `constructs@${dependencies.constructs}`,
    ];
    const advice = `npm install ${versions.join(" ")}`;
    throw new ConfigError(`the CDK is not installed in this folder: ${advice}`, { cause: error });
  }
}

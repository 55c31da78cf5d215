/** `nearside doctor` */

import { SSMClient } from "@aws-sdk/client-ssm";
import { type Command, InvalidArgumentError } from "commander";
import { ssmParameters } from "../../lib/aws/ssm-parameters.ts";
import type { BitbucketCredential } from "../../lib/bitbucket/credential.ts";
import { ACCOUNT_SECRET_FOLDER, RELAY_SECRET_FOLDER } from "../../lib/config.ts";
import { ConfigError } from "../../lib/errors.ts";
import { readMirrorConfig } from "../../lib/mirror/config-store.ts";
import type { MirrorConfig, MirroredWorkspace, RelayWebhook } from "../../lib/mirror/mirror-config.ts";
import { readMirrorStatus } from "../../lib/mirror/mirror-status.ts";
import { isNameSegment } from "../../lib/repo/names.ts";
import { SETTINGS } from "../../lib/settings.ts";
import { readSettingsFile } from "../../lib/settings-file.ts";
import { readWebhookSecret } from "../../lib/webhook/webhook-secret.ts";
import { openBlobUrls } from "../local/open-store.ts";
import { ENVIRONMENT_CREDENTIAL, readAccount, readRelaySecret, secretVariable } from "../local/secrets.ts";
import { bitbucketAccess } from "../wiring/bitbucket-access.ts";
import {
  accountsOf,
  bitbucketOf,
  type PrimaryOptions,
  parseUrlArgument,
  primaryOptions,
  print,
  storeOf,
} from "./command-options.ts";
import { checkAccess } from "./doctor/check-access.ts";
import { checkAccount, checkBothTokens, checkTokenEnd } from "./doctor/check-account.ts";
import { checkLfs } from "./doctor/check-lfs.ts";
import {
  checkAddress,
  checkDeadLetters,
  checkQueue,
  checkRepositories,
  checkRounds,
} from "./doctor/check-mirror.ts";
import { checkStore } from "./doctor/check-store.ts";
import { checkWebhooks } from "./doctor/check-webhooks.ts";
import { checkOf } from "./doctor/checks.ts";
import { describe, type Finding, fail, failedWith, ok, withCheck } from "./doctor/finding.ts";
import { fix } from "./doctor/fix.ts";
import { Findings } from "./explain.ts";
import { printJson } from "./print-json.ts";
import { counted } from "./table.ts";

interface DoctorOptions extends PrimaryOptions {
  readonly mirrorUrl?: string;
  readonly queueUrl?: string;
  readonly deadLetterQueueUrl?: string;
  readonly json?: true;
  readonly fix?: true;
  readonly config?: string;
  readonly quotas?: true;
  readonly permissions?: true;
  /** `workspace/repository`. */
  readonly deployment?: string;
  /** As `deployment`. */
  readonly large?: string;
  /** As `deployment`. */
  readonly former?: string;
  readonly changes?: true;
}

const EXPLANATION = `
Checks, with the rights of its caller: the store (write, read, compare-and-swap, list and delete, on a key below doctor/ that is
removed again); for each workspace the account, its scopes, when its token ends, Bitbucket's REST API and git server, this machine's clock, the webhook,
when the mirror last did its rounds, whose last sync failed, which repositories Bitbucket does not show to the account, and one Git LFS file: at Bitbucket, in the store, and its link; the mirror's address, as the webhook or --mirror-url has it; dead letters; secrets of the relay.
Each line is OK, FAIL or SKIP; a FAIL is followed by what to do, and by the command for it. With --json: {schema, version, timestamp, data}; data is an array of {check, status, detail, advice, id, title, cause, command}.
Before a deployment, --quotas and --permissions check nothing but the AWS account: by the settings file, region and credentials that the
deployment would use. After it, --deployment with --mirror-url tries what only a deployment can show, line by line of docs/unverified.md: with
the account of BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN, with git, and with AWS credentials where they are set.
--changes is for a deployment that is not in use: it pushes two branches and a tag to the repository and deletes them again, and for some minutes
each takes the status function, the authorizer and the stream tier away. Ctrl-C restores what is changed, and ends.
For a deployed mirror give --store s3://…, --secret-path and the queues' addresses.
Exit codes: 0 all is well; 1 failed; 2 wrong arguments or settings; 3 some check failed; 129, 130,
143 stopped by SIGHUP, SIGINT, SIGTERM.`;

export function configure(command: Command): void {
  primaryOptions(command)
    .option(
      "--mirror-url <url>",
      "where Bitbucket and git reach the mirror: GitUrl of a deployed one",
      parseUrlArgument,
    )
    .option("--queue-url <url>", "of a deployed mirror: SyncQueueUrl", parseUrlArgument)
    .option("--dead-letter-queue-url <url>", "of a deployed mirror: DeadLetterQueueUrl", parseUrlArgument)
    .option("--quotas", "only: whether the AWS account has room for a deployment")
    .option("--permissions", "only: whether the AWS credentials suffice for a deployment")
    .option(
      "--deployment <workspace/repository>",
      "only: try a deployed mirror with this private repository",
      parseRepository,
    )
    .option(
      "--large <workspace/repository>",
      "with --deployment: a mirrored repository above 200 MB",
      parseRepository,
    )
    .option(
      "--former <workspace/repository>",
      "with --deployment: a name before a rename at Bitbucket",
      parseRepository,
    )
    .option(
      "--changes",
      "with --deployment: push to the repository, and change the deployment for some minutes",
    )
    .option(
      "--fix",
      "queue failed syncs and dead letters again; for a deployed mirror with its queues' addresses",
    )
    .option("--json", "print JSON")
    .addHelpText("after", EXPLANATION)
    .action(doctor);
}

function parseRepository(text: string): string {
  const segments = text.split("/");
  if (segments.length === 2 && segments.every(isNameSegment)) return text;
  throw new InvalidArgumentError("Expected <workspace/repository>.");
}

/** @throws {ConfigError} An option would be ignored. */
function checkOptions({ deployment, mirrorUrl, large, former, changes }: DoctorOptions): void {
  const extras = { "--large": large, "--former": former, "--changes": changes };
  for (const [name, value] of Object.entries(extras))
    if (deployment === undefined && value !== undefined)
      throw new ConfigError(`${name} needs --deployment <workspace/repository>`);
  if (deployment !== undefined && mirrorUrl === undefined)
    throw new ConfigError("--deployment needs --mirror-url: GitUrl of the deployment");
}

async function doctor(options: DoctorOptions): Promise<void> {
  checkOptions(options);
  const all: Finding[] = [];
  for await (const finding of check(options)) {
    const fixed =
      options.fix && finding.status === "fail" ? await fixIfHarmless(finding, options) : undefined;
    all.push({ ...finding, ...(fixed !== undefined && { fixed }) });
    if (!options.json) print(describe(finding));
    if (!options.json && fixed !== undefined) print(`     Done: ${fixed}.`);
  }
  if (options.json) printJson("doctor", all.map(withCheck));
  const failedCount = all.filter(({ status }) => status === "fail").length;
  if (failedCount > 0) {
    if (!options.json) print(`${failedCount} of ${counted(all.length, "check")} failed.`);
    throw new Findings();
  }
  if (!options.json) print("All is well.");
}

async function fixIfHarmless(finding: Finding, options: DoctorOptions): Promise<string | undefined> {
  const { queueUrl, deadLetterQueueUrl, store } = options;
  const isLocal = !store.startsWith("s3://");
  return fix(finding, { store: storeOf(options), isLocal, queueUrl, deadLetterQueueUrl });
}

async function* check(options: DoctorOptions): AsyncGenerator<Finding, void, undefined> {
  const { quotas, permissions, deployment } = options;
  if (quotas || permissions || deployment !== undefined) yield* checkAws(options);
  else yield* checkMirror(options);
}

/** Loads what it needs: clients of AWS, mostly for nothing. */
async function* checkAws(options: DoctorOptions): AsyncGenerator<Finding, void, undefined> {
  const { config, quotas, permissions, deployment, mirrorUrl } = options;
  const { awsAccount } = await import("./doctor/aws-account.ts");
  const [region] = readSettingsFile(config).regions?.split(",") ?? [];
  const openAccount = () => awsAccount(process.env["AWS_ENDPOINT_URL"], region);
  if (quotas || permissions) {
    const { checkPermissions, checkQuotas } = await import("./doctor/check-aws.ts");
    const settings = readSettingsFile(config);
    const aws = await openAccount();
    if (quotas) yield* checkQuotas(settings, aws);
    if (permissions) yield* checkPermissions(settings, aws);
  }
  if (deployment === undefined || mirrorUrl === undefined) return;
  const { checkDeployment } = await import("./doctor/check-deployment.ts");
  const { deployedStack } = await import("./doctor/deployed-stack.ts");
  const { gitUrl, apiUrl, large, former, changes: mayChange } = options;
  const { stackPrefix = SETTINGS.stackPrefix.default } = readSettingsFile(config);
  const url = mirrorUrl.replace(/\/+$/, "");
  // Without AWS credentials or a region, what AWS says is left out.
  const stack = await openAccount().then(
    ({ send }) => deployedStack({ stackPrefix, mirrorUrl: url, send }),
    () => undefined,
  );
  yield* checkDeployment({
    ...{ repository: deployment, large, former, mayChange, gitUrl, apiUrl, stack },
    mirrorUrl: url,
    account: readAccount(process.env),
  });
}

async function* checkMirror(options: DoctorOptions): AsyncGenerator<Finding, void, undefined> {
  const store = storeOf(options);
  const isLocal = !options.store.startsWith("s3://");
  const storeFindings = await checkStore(store, isLocal ? options.store : undefined);
  yield* storeFindings;
  if (storeFindings.length === 1 && isLocal) return;
  const { config, finding } = await readConfig(options);
  yield finding;
  if (config === undefined) return;
  const bitbucket = bitbucketOf(options);
  let place = options.mirrorUrl;
  const active = config.workspaces.filter(({ removedAt, disabled }) => removedAt === undefined && !disabled);
  for (const workspace of active) {
    const command = secretCommand(workspace, options);
    for (const found of await checkAccount(workspace, bitbucket)) yield mendedBy(command, found);
    if (workspace.credential !== undefined)
      for await (const found of checkTokens(workspace, options)) yield mendedBy(command, found);
    const { findings, mirrorUrl } = await checkWebhooks(workspace, isLocal, store, bitbucket);
    yield* findings;
    place ??= mirrorUrl;
    yield await checkRounds(workspace, store);
    const [status] = await readMirrorStatus(store, config, workspace.workspace);
    if (status !== undefined) {
      yield checkRepositories(status);
      yield* await checkAccess(workspace, status, bitbucket);
    }
    const { mirrorUrl: server } = options;
    const urls = openBlobUrls(options);
    yield* await checkLfs(workspace, { config, store, bitbucket, urls, mirrorUrl: server });
  }
  const [first] = active;
  if (place !== undefined && first !== undefined) yield* await checkAddress(place, first.workspace);
  yield await checkDeadLetters(store);
  const { queueUrl, deadLetterQueueUrl } = options;
  if (queueUrl !== undefined) yield await checkQueue("queue", queueUrl, false);
  if (deadLetterQueueUrl !== undefined) yield await checkQueue("dead letter queue", deadLetterQueueUrl, true);
  for (const webhook of config.relayWebhooks ?? []) yield await checkRelay(webhook, options);
}

/** Where a new token goes; `undefined` for a workspace without an account. */
function secretCommand({ credential }: MirroredWorkspace, { secretPath }: DoctorOptions): string | undefined {
  if (credential === undefined) return undefined;
  if (secretPath !== undefined)
    return `aws ssm put-parameter --overwrite --type SecureString --name ${secretPath}${ACCOUNT_SECRET_FOLDER}${credential} --value '{"email":"…","token":"…"}'`;
  const variables =
    credential === ENVIRONMENT_CREDENTIAL
      ? "BITBUCKET_EMAIL=… BITBUCKET_API_TOKEN=…"
      : `${secretVariable(credential)}='{"email":"…","token":"…"}'`;
  return `export ${variables}   # here and for the server, which is then restarted`;
}

function mendedBy(command: string | undefined, finding: Finding): Finding {
  const isAboutToken = ["REST", "token", "scopes"].includes(checkOf(finding.check) ?? "");
  return finding.status === "fail" && isAboutToken && command !== undefined
    ? { command, ...finding }
    : finding;
}

async function* checkTokens(
  workspace: MirroredWorkspace,
  options: DoctorOptions,
): AsyncGenerator<Finding, void, undefined> {
  const accountOf = accountsOf(options);
  const finding = await checkTokenEnd(workspace, accountOf);
  yield finding;
  if (finding.status === "fail") return;
  const accessWith = (credential: BitbucketCredential) =>
    bitbucketAccess({ ...options, accountOf: async () => credential });
  yield* await checkBothTokens(workspace, await accountOf(workspace), accessWith);
}

async function readConfig(
  options: DoctorOptions,
): Promise<{ readonly config?: MirrorConfig; readonly finding: Finding }> {
  const check = "config.json";
  try {
    const config = await readMirrorConfig(storeOf(options));
    if (config === undefined || config.workspaces.length === 0)
      return {
        finding: fail(check, "no workspace is connected", "Begin with nearside connect <workspace>."),
      };
    const names = config.workspaces.map(({ workspace }) => workspace).join(", ");
    return { config, finding: ok(check, `connected: ${names}`) };
  } catch (error) {
    return { finding: failedWith(check, error, "Repair it, or restore an older version of it.") };
  }
}

async function checkRelay(
  { id, url, secret }: RelayWebhook,
  { secretPath }: DoctorOptions,
): Promise<Finding> {
  const name = `relay ${id}: secret`;
  try {
    if (secretPath === undefined) readRelaySecret(process.env, secret);
    else
      await readWebhookSecret(ssmParameters(new SSMClient()), `${secretPath}${RELAY_SECRET_FOLDER}${secret}`);
    return ok(name, `events to ${url} can be signed`);
  } catch (error) {
    return failedWith(name, error, "Store the secret, or remove the webhook with nearside relay remove.");
  }
}

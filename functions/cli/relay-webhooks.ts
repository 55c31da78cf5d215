/** `nearside relay` */
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { SSMClient } from "@aws-sdk/client-ssm";
import { Command } from "commander";
import { addressKind } from "../../lib/address-kind.ts";
import { createSsmParameter, ssmParameters } from "../../lib/aws/ssm-parameters.ts";
import { RELAY_SECRET_FOLDER } from "../../lib/config.ts";
import { ConfigError } from "../../lib/errors.ts";
import { addRelayWebhook, removeRelayWebhook } from "../../lib/mirror/change-relay.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { checkMirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { ensureWebhookSecret } from "../../lib/webhook/webhook-secret.ts";
import { readRelaySecret } from "../local/secrets.ts";
import {
  configOf,
  parseSecretPath,
  print,
  type StoreOptions,
  storeOf,
  storeOptions,
} from "./command-options.ts";
import { printJson } from "./print-json.ts";
import { formatTable } from "./table.ts";

interface AddOptions extends StoreOptions {
  readonly secret?: string;
  readonly secretPath?: string;
  readonly privateAddresses?: true;
}

interface ListOptions extends StoreOptions {
  readonly json?: true;
}

const EXPLANATION = `
After each publish the receivers get an event in the form of Bitbucket Data Center's mirror:repo_synchronized: at least once, in order
for each repository, and signed (X-Hub-Signature: sha256=<HMAC of the body>). A deployed mirror also sends it to EventBridge. An
event that is not answered with 2xx within ten seconds is sent five times within some 25 minutes; then it is a dead letter: see
nearside dead-letters. Redirects are not followed.
Exit codes: 0 done; 1 failed; 2 wrong arguments or settings.`;

export function configure(command: Command): void {
  const part = (name: string, description: string) =>
    storeOptions(new Command(name).description(description)).addHelpText("after", EXPLANATION);
  command
    .addCommand(
      part("add", "add a webhook")
        .argument("<url>", "its address; https://, or http:// on the machine of a local mirror")
        .option(
          "--secret <name>",
          "name of the signing secret, never the secret itself; from the id unless given",
        )
        .option(
          "--secret-path <path>",
          "for a deployed mirror: the secret is the SSM parameter <path>relay/<name>, created if missing",
          parseSecretPath,
        )
        .option("--private-addresses", "allow an address of a private network")
        .action(add),
    )
    .addCommand(part("list", "list the webhooks").option("--json", "print JSON").action(list))
    .addCommand(part("remove", "remove a webhook").argument("<id or url>", "one of the list").action(remove));
}

async function add(url: string, options: AddOptions): Promise<void> {
  const id = randomBytes(4).toString("hex");
  const secret = options.secret ?? id;
  const webhook = { id, url, secret, privateAddresses: options.privateAddresses === true };
  const store = storeOf(options);
  // Checked before anything is written.
  checkMirrorConfig(addRelayWebhook(await configOf(store), webhook));
  if (options.secretPath !== undefined && !url.startsWith("https:"))
    throw new ConfigError("a deployed mirror sends events to https:// addresses only");
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(host) !== 0 && addressKind(host) === "private" && !webhook.privateAddresses)
    throw new ConfigError(`${host} is an address of a private network: add --private-addresses to allow it`);
  const where = await ensureSecret(secret, options);
  await changeMirrorConfig(store, (config) => addRelayWebhook(config, webhook));
  print(`${url} gets events from now on, as ${id}. They are signed with the secret in ${where}.`);
}

/** @returns Where it is stored. @throws {ConfigError} There is none, and it cannot be created. */
async function ensureSecret(name: string, { secretPath }: AddOptions): Promise<string> {
  if (secretPath !== undefined) {
    const parameter = `${secretPath}${RELAY_SECRET_FOLDER}${name}`;
    const ssm = new SSMClient();
    const create = (name: string, value: string) => createSsmParameter(ssm, name, value);
    await ensureWebhookSecret(ssmParameters(ssm), create, parameter);
    return `the SSM parameter ${parameter}`;
  }
  const { variable } = readRelaySecret(process.env, name);
  return `the mirror's environment, as ${variable}`;
}

async function list(options: ListOptions): Promise<void> {
  const { relayWebhooks = [] } = await configOf(storeOf(options));
  if (options.json) {
    printJson("relay-webhooks", relayWebhooks);
    return;
  }
  const rows = relayWebhooks.map(({ id, url, secret, privateAddresses }) => [
    id,
    url,
    secret,
    privateAddresses ? "allowed" : "refused",
  ]);
  print(
    rows.length === 0
      ? "No webhook gets events."
      : formatTable(["id", "url", "secret", "private addresses"], rows),
  );
}

async function remove(which: string, options: StoreOptions): Promise<void> {
  await changeMirrorConfig(storeOf(options), (config) => removeRelayWebhook(config, which));
  print(`${which} gets no more events; its secret is kept.`);
}

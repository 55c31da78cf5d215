/** The settings of a deployment, from `nearside.config.json` alone: the same for every deploy. */
import type { Node } from "constructs";
import { type AddressRange, formatAddressRange, parseAddressSetting } from "../lib/address-ranges.ts";
import { ENV, ENVIRONMENT_SETTINGS } from "../lib/config.ts";
import { SETTING_NAMES, SETTINGS, settingOf } from "../lib/settings.ts";
import { type FileSettings, SETTINGS_FILE } from "../lib/settings-file.ts";

export interface DeploymentSettings {
  /** In front of the stacks' names, so that an account can hold more than one mirror. */
  readonly stackPrefix: string;
  /** Empty: every address is served. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Where webhooks are accepted from, as the webhook function reads it. */
  readonly webhookAddresses: string;
  /** The first part of the names of the SSM parameters with the mirror's secrets. With a slash at both ends. */
  readonly secretPath: string;
  /** API Gateway has one role for its logs in an account and region: whether to set it. */
  readonly setsApiLogRole: boolean;
  /** Variables of every function, but for the webhook addresses, which may be long. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Lambda accepts 4 kB for all variables together. */
const MAX_WEBHOOK_ADDRESSES_LENGTH = 3_000;

/** @throws {Error} A value that AWS does not accept. */
export function deploymentSettings(file: FileSettings): DeploymentSettings {
  const { stackPrefix = SETTINGS.stackPrefix.default } = file;
  const secretPath = file.secretPath ?? `/${stackPrefix.toLowerCase()}/`;
  const values = { ...file, secretPath };
  const names = ENVIRONMENT_SETTINGS.filter((name) => name !== "webhookAddresses");
  return {
    stackPrefix,
    allowedAddresses: parseAddressSetting(file.allowedAddresses ?? SETTINGS.allowedAddresses.default),
    webhookAddresses: webhookAddresses(file.webhookAddresses ?? SETTINGS.webhookAddresses.default),
    secretPath,
    setsApiLogRole: file.apiLogRole === "create",
    environment: Object.fromEntries(
      names.map((name) => [ENV[name], String(values[name] ?? settingOf(name).default)]),
    ),
  };
}

/**
 * The file that `-c config=<file>` names. Settings themselves are refused as CDK context: one that is forgotten in the next deploy
 * would open the API.
 * @returns `undefined` for the default file.
 * @throws {Error} A setting is given as context.
 */
export function settingsFileOf(node: Node): string | undefined {
  for (const name of SETTING_NAMES) {
    if (node.tryGetContext(name) !== undefined)
      throw new Error(`${name} is set in ${SETTINGS_FILE}, not as CDK context (-c)`);
  }
  const file: unknown = node.tryGetContext("config");
  if (file !== undefined && (typeof file !== "string" || file === ""))
    throw new Error("-c config=<file> must name a file");
  return file;
}

/** Who can reach the API, for the person who deploys it. */
export function describeReach({ allowedAddresses }: DeploymentSettings): string {
  if (allowedAddresses.length === 0) return "The API accepts requests from any address.";
  return `The API accepts requests from ${allowedAddresses.map(formatAddressRange).join(", ")} only.`;
}

function webhookAddresses(text: string): string {
  const ranges = parseAddressSetting(text);
  if (ranges.length === 0) return "any";
  const formatted = ranges.map(formatAddressRange).join(",");
  if (formatted.length > MAX_WEBHOOK_ADDRESSES_LENGTH)
    throw new Error(`webhookAddresses is longer than ${MAX_WEBHOOK_ADDRESSES_LENGTH} characters`);
  return formatted;
}

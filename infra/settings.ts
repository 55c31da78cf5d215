/** What a deployment is told, as CDK context: `cdk deploy -c name=value` or "context" in cdk.json. */
import type { Node } from "constructs";
import {
  type AddressRange,
  formatAddressRange,
  parseAddressRanges,
  parseAddressSetting,
} from "../lib/address-ranges.ts";
import { ACCESS_SETTINGS, NUMBER_SETTINGS, type NumberSetting } from "../lib/config.ts";
import { ENV } from "../lib/setting-names.ts";

export interface Settings {
  /** Put before the stacks' names, so that an account can hold more than one mirror. */
  readonly stackPrefix: string;
  /** Who may call at all; none: every address. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Where webhooks may come from, as the webhook function reads it. */
  readonly webhookAddresses: string;
  /** Environment of the functions, of what is set about access. */
  readonly accessEnvironment: Readonly<Record<string, string>>;
  /** Begins the names of the SSM parameters that hold the mirror's secrets. With a slash at both ends. */
  readonly secretPath: string;
  /** API Gateway has one role for its logs in an account and region: whether to set it. */
  readonly setsApiLogRole: boolean;
}

/** @throws {Error} A setting has a value that it cannot have. */
export function readSettings(node: Node): Settings {
  if (text(node, "publicAccess") !== undefined) {
    throw new Error("publicAccess is no setting any more: Bitbucket is asked who may read; see anonymous");
  }
  const apiLogRole = text(node, "apiLogRole");
  if (apiLogRole !== undefined && apiLogRole !== "create") {
    throw new Error('apiLogRole can only be "create"; leave it out to keep the account\'s role');
  }
  for (const [name, instead] of [
    ["credentialParameter", "secretPath"],
    ["publicRepositories", "config.json"],
  ] as const) {
    if (text(node, name) !== undefined) throw new Error(`${name} is no setting any more: see ${instead}`);
  }
  const stackPrefix = text(node, "stackPrefix") ?? "Nearside";
  const secretPath = text(node, "secretPath") ?? `/${stackPrefix.toLowerCase()}/`;
  if (!/^\/([A-Za-z0-9._-]+\/)+$/.test(secretPath)) {
    throw new Error("secretPath must begin and end with a slash, such as /nearside/");
  }
  return {
    stackPrefix,
    allowedAddresses: parseAddressRanges(text(node, "allowedAddresses")?.split(",") ?? []),
    webhookAddresses: webhookAddresses(node),
    accessEnvironment: {
      [ENV.anonymous]: choice(node, "anonymous"),
      ...Object.fromEntries(NUMBER_SETTINGS.map((name) => [ENV[name], wholeNumber(node, name)])),
      [ENV.push]: choice(node, "push"),
      [ENV.redirectUnmirrored]: choice(node, "redirectUnmirrored"),
    },
    secretPath,
    setsApiLogRole: apiLogRole === "create",
  };
}

/** Lambda takes 4 kB for all variables together. */
const MAX_ADDRESSES_LENGTH = 3_000;

function webhookAddresses(node: Node): string {
  const ranges = parseAddressSetting(text(node, "webhookAddresses") ?? "any");
  if (ranges.length === 0) return "any";
  const formatted = ranges.map(formatAddressRange).join(",");
  if (formatted.length > MAX_ADDRESSES_LENGTH) {
    throw new Error(`webhookAddresses is longer than ${MAX_ADDRESSES_LENGTH} letters`);
  }
  return formatted;
}

function choice(node: Node, name: "anonymous" | "push" | "redirectUnmirrored"): string {
  const { choices, fallback } = ACCESS_SETTINGS[name];
  const value = text(node, name) ?? fallback;
  if (!choices.some((known) => known === value))
    throw new Error(`${name} can only be ${choices.join(" or ")}`);
  return value;
}

function wholeNumber(node: Node, name: NumberSetting): string {
  const { max, fallback } = ACCESS_SETTINGS[name];
  const value = text(node, name) ?? String(fallback);
  if (!/^\d{1,9}$/.test(value) || Number(value) > max) {
    throw new Error(`${name} must be a whole number from 0 to ${max}`);
  }
  return value;
}

function text(node: Node, name: string): string | undefined {
  const value: unknown = node.tryGetContext(name);
  if (value === undefined || value === "") return undefined;
  if (typeof value !== "string") throw new Error(`${name} must be a text`);
  return value;
}

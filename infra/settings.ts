/** What a deployment is told, as CDK context: `cdk deploy -c name=value` or "context" in cdk.json. */
import type { Node } from "constructs";
import { type AddressRange, parseAddressRanges } from "../lib/address-ranges.ts";
import { ACCESS_SETTINGS, ENV } from "../lib/config.ts";

export interface Settings {
  /** Put before the stacks' names, so that an account can hold more than one mirror. */
  readonly stackPrefix: string;
  /** Who may call at all; none: every address. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Environment of the functions, of what is set about access. */
  readonly accessEnvironment: Readonly<Record<string, string>>;
  /** Name of an SSM parameter (SecureString) of this account. */
  readonly credentialParameterName: string | undefined;
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
  return {
    stackPrefix: text(node, "stackPrefix") ?? "Nearside",
    allowedAddresses: parseAddressRanges(text(node, "allowedAddresses")?.split(",") ?? []),
    accessEnvironment: {
      [ENV.anonymous]: choice(node, "anonymous"),
      [ENV.anonymousPerMinute]: wholeNumber(node, "anonymousPerMinute"),
      [ENV.staleMinutes]: wholeNumber(node, "staleMinutes"),
      [ENV.push]: choice(node, "push"),
      [ENV.publicRepositories]: choice(node, "publicRepositories"),
    },
    credentialParameterName: text(node, "credentialParameter"),
    setsApiLogRole: apiLogRole === "create",
  };
}

function choice(node: Node, name: "anonymous" | "push" | "publicRepositories"): string {
  const { choices, fallback } = ACCESS_SETTINGS[name];
  const value = text(node, name) ?? fallback;
  if (!choices.some((known) => known === value))
    throw new Error(`${name} can only be ${choices.join(" or ")}`);
  return value;
}

function wholeNumber(node: Node, name: "anonymousPerMinute" | "staleMinutes"): string {
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

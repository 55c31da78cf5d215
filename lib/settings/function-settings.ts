/** Settings of a deployment that its functions read, apart from those that only infra/ does: each function loads this table. */
import type { Setting } from "./setting.ts";

export const FUNCTION_SETTINGS = {
  stackPrefix: {
    type: "text",
    pattern: /^[A-Za-z][A-Za-z0-9-]{0,63}$/,
    rule: "must be letters, digits and hyphens, the first one a letter",
    default: "Nearside",
    description:
      "the first part of the stacks' names, and the namespace of the metrics; a second mirror in an account needs another one",
  },
  secretPath: {
    type: "text",
    pattern: /^\/([A-Za-z0-9._-]+\/)+$/,
    rule: "must begin and end with a slash, such as /nearside/",
    description:
      "the first part of the names of the mirror's SSM parameters (SecureString): `accounts/…` for the accounts of `config.json`, `relay/…`, and `webhook-secret`, which the mirror creates. By default `stackPrefix` in small letters between slashes",
  },
  streamTierThresholdMib: {
    type: "integer",
    min: 1,
    // What a function can send is 196 MB.
    max: 180,
    default: 100,
    description: "repositories with larger packs are served by the stream tier",
  },
  streamTierTokens: {
    type: "choice",
    choices: ["one-network", "any-network"],
    default: "one-network",
    description:
      "where a token of the stream tier is accepted from: the network (IPv4 /24, IPv6 /64) of the caller's address, or anywhere. `any-network` if clients leave by several networks",
  },
  logLevel: {
    type: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    description: "the least severe log lines that the functions write",
  },
  metrics: {
    type: "choice",
    choices: ["basic", "all"],
    default: "basic",
    description:
      "metrics in CloudWatch: `basic`, 20; `all`, 5 more, about how packs and LFS files were answered. Beyond ten of an account each costs 0.30 $ a month",
  },
} as const satisfies Record<string, Setting>;

/** Settings of a server and of a deployment. */
import type { Setting } from "./setting.ts";

export const COMMON_SETTINGS = {
  gitUrl: {
    type: "url",
    default: "https://bitbucket.org",
    description: "the primary's git server",
  },
  apiUrl: {
    type: "url",
    default: "https://api.bitbucket.org/2.0",
    description: "the primary's REST API",
  },
  anonymous: {
    type: "choice",
    choices: ["allow", "deny"],
    default: "allow",
    description: "whether requests without a credential can read what is public at Bitbucket",
  },
  administration: {
    type: "choice",
    choices: ["pages", "no-connect", "off"],
    default: "pages",
    description:
      "`pages`: who administers a workspace at Bitbucket sees metrics, acts on it by the mirror's pages, and connects others (a deployment's page connects none); `no-connect`: without connecting; `off`: only the command line administers",
  },
  anonymousPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 300,
    description: "limit of requests without a credential from one address (IPv6: one /48); 0: no limit",
  },
  anonymousTotalPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 6_000,
    description: "the same limit for all addresses together; 0: no limit",
  },
  wrongCredentialsPerMinute: {
    type: "integer",
    min: 0,
    max: 1_000_000,
    default: 60,
    description:
      "different credentials from one address (IPv6: one /48) that Bitbucket may reject in a minute before unknown ones wait; 0: no limit",
  },
  staleMinutes: {
    type: "integer",
    min: 0,
    max: 1_440,
    default: 15,
    description: "how long Bitbucket's last yes is used while Bitbucket is unreachable; 0: not at all",
  },
  waitSeconds: {
    type: "integer",
    min: 0,
    // API Gateway closes a stream that is idle for 5 min.
    max: 240,
    default: 20,
    description:
      "how long a request waits for the sync of a commit or ref that is not here yet; 0: not at all",
  },
  push: {
    type: "choice",
    choices: ["relay", "redirect", "refuse"],
    default: "relay",
    description:
      "pass pushes through to Bitbucket with the caller's credential (a deployment redirects them), redirect them, or refuse them with the line that sets git's push address",
  },
  redirectUnmirrored: {
    type: "choice",
    choices: ["public", "off"],
    default: "public",
    description:
      "redirect callers without a credential to Bitbucket for public repositories that are selected and not served: before the first sync, or paused",
  },
  lfs: {
    type: "choice",
    choices: ["tips", "all", "none"],
    default: "tips",
    description:
      "which Git LFS files are copied: `tips`, those of branches and tags, others when a client first asks for them; `all`; `none`",
  },
  lfsMaxFileMib: {
    type: "integer",
    min: 0,
    max: 71_680,
    default: 10_240,
    description: "larger Git LFS files are not copied; clients get them from Bitbucket",
  },
  lfsRepositories: {
    type: "text",
    pattern: /^!?[A-Za-z0-9._*?/-]+(,!?[A-Za-z0-9._*?/-]+)*$/,
    rule: "must be patterns such as acme/*, separated by commas",
    default: "*",
    description:
      "repositories whose Git LFS files are copied: patterns of `workspace/repository` with `*` and `?`, separated by commas; `!` before one excludes",
  },
  allowedAddresses: {
    type: "addresses",
    default: "any",
    description: "serve only clients at these addresses, such as 203.0.113.0/24 or 2001:db8::/32",
    flag: "--allow-address",
  },
  webhookAddresses: {
    type: "addresses",
    default: "any",
    description: "accept webhooks only from these addresses; they must be signed in any case",
    flag: "--webhook-address",
  },
} as const satisfies Record<string, Setting>;

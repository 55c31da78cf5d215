/** Checks a workspace's account: whether Bitbucket accepts it, its rights, and this machine's clock. */

import type { BitbucketAccount, BitbucketCredential } from "../../../lib/bitbucket/credential.ts";
import type { BitbucketRepository } from "../../../lib/bitbucket/rest-api.ts";
import { tokenExpiry } from "../../../lib/bitbucket/token-expiry.ts";
import type { MirroredWorkspace } from "../../../lib/mirror/mirror-config.ts";
import { ENVIRONMENT_CREDENTIAL } from "../../local/secrets.ts";
import type { BitbucketAccess } from "../../wiring/bitbucket-access.ts";
import { firstOf } from "../command-options.ts";
import { counted } from "../table.ts";
import { type Finding, fail, failedWith, ok, skipped } from "./finding.ts";

const READ_SCOPES = ["read:repository:bitbucket"] as const;
const WEBHOOK_SCOPES = [
  "read:webhook:bitbucket",
  "write:webhook:bitbucket",
  "delete:webhook:bitbucket",
] as const;

/** What access tokens and OAuth call the same. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  "read:repository:bitbucket": ["repository", "repository:write"],
  "read:webhook:bitbucket": ["webhook"],
  "write:webhook:bitbucket": ["webhook"],
  "delete:webhook:bitbucket": ["webhook"],
};

/** The header has whole seconds; jobs are compared by time, and AWS refuses requests that are five minutes off. */
const MAX_SKEW_MS = 30_000;

/** What an answer of REST says beside its body. */
interface SeenHeaders {
  scopes?: string | undefined;
  /** How far Bitbucket's clock is ahead of this machine's. */
  skewMs?: number;
}

export async function checkAccount(
  workspace: MirroredWorkspace,
  bitbucket: BitbucketAccess,
): Promise<Finding[]> {
  const name = workspace.workspace;
  const seen: SeenHeaders = {};
  let example: BitbucketRepository | undefined;
  try {
    const api = await bitbucket.apiOf(workspace, (fetch) => watching(fetch, seen));
    example = await firstOf(api.repositories(name));
  } catch (error) {
    const advice = "Check the account's secret, and that this machine reaches Bitbucket's REST API.";
    return [failedWith(`${name}: REST`, error, advice), ...clockFinding(name, seen)];
  }
  const findings = [restFinding(workspace, example), ...clockFinding(name, seen)];
  findings.push(scopeFinding(workspace, seen));
  if (example !== undefined) findings.push(await gitFinding(workspace, example, bitbucket));
  return findings;
}

const RENEW =
  "Make a new token and give it to the workspace before: see docs/operations.md, Replace secrets.";

/** Of a workspace with an account. */
export async function checkTokenEnd(
  workspace: MirroredWorkspace,
  accountOf: (workspace: MirroredWorkspace) => Promise<BitbucketAccount>,
): Promise<Finding> {
  const check = `${workspace.workspace}: token`;
  try {
    const expiry = tokenExpiry(await accountOf(workspace), Date.now());
    if (expiry === undefined)
      return skipped(
        check,
        workspace.credential === ENVIRONMENT_CREDENTIAL
          ? 'when it ends is not recorded: an account in NEARSIDE_SECRET_<NAME> can have "expires": "<date>"'
          : 'when it ends is not recorded: add "expires": "<date>" to the account\'s secret',
      );
    const { expires, daysLeft, isSoon } = expiry;
    if (!isSoon) return ok(check, `it ends on ${expires}`);
    if (daysLeft === undefined)
      return fail(
        check,
        `"expires" in the account's secret is no date: ${expires}`,
        "Write it as 2027-11-30.",
      );
    const when = daysLeft < 0 ? "it ended" : `it ends in ${counted(daysLeft, "day")},`;
    return fail(check, `${when} on ${expires}`, RENEW);
  } catch (error) {
    return failedWith(check, error, "Check the account's secret.");
  }
}

/** Of an account with two credentials: whether Bitbucket accepts each, by an access with it alone. */
export async function checkBothTokens(
  workspace: MirroredWorkspace,
  account: BitbucketAccount,
  accessWith: (credential: BitbucketCredential) => BitbucketAccess,
): Promise<Finding[]> {
  if (account.kind === "none" || account.second === undefined) return [];
  const { second, ...first } = account;
  const { workspace: name } = workspace;
  const findings: Finding[] = [];
  for (const [index, credential] of [first, second].entries()) {
    const check = `${name}: token ${index + 1} of 2`;
    try {
      const api = await accessWith(credential).apiOf(workspace, (fetch) => fetch);
      const example = await firstOf(api.repositories(name));
      const shown = example === undefined ? "no repository" : example.fullName;
      findings.push(ok(check, `Bitbucket accepts it, and shows ${shown}`));
    } catch (error) {
      findings.push(failedWith(check, error, RENEW));
    }
  }
  return findings;
}

function watching(fetch: typeof globalThis.fetch, seen: SeenHeaders): typeof globalThis.fetch {
  return async (input, init) => {
    const sentMs = Date.now();
    const response = await fetch(input, init);
    const theirsMs = Date.parse(response.headers.get("date") ?? "");
    // It was made some time between the two.
    if (Number.isFinite(theirsMs)) seen.skewMs = theirsMs + 500 - (sentMs + Date.now()) / 2;
    seen.scopes = response.headers.get("x-oauth-scopes") ?? undefined;
    return response;
  };
}

function restFinding(
  { workspace, credential }: MirroredWorkspace,
  example: BitbucketRepository | undefined,
): Finding {
  const check = `${workspace}: REST`;
  if (example !== undefined)
    return ok(check, `Bitbucket accepts the account, and shows ${example.fullName}, for example`);
  const advice =
    credential === undefined
      ? "Without an account only public repositories can be mirrored: nearside reconnect gives it one."
      : "Give the account the right to read the repositories that are to be mirrored.";
  const finding = fail(check, "Bitbucket shows no repository to this account", advice);
  return credential === undefined ? finding : { ...finding, command: `nearside sync ${workspace}` };
}

function clockFinding(name: string, { skewMs }: SeenHeaders): Finding[] {
  if (skewMs === undefined) return [];
  const check = `${name}: clock`;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return [ok(check, `within ${Math.max(1, seconds)} s of Bitbucket's`)];
  const detail = `this machine's clock is ${seconds} s ${skewMs > 0 ? "behind" : "ahead of"} Bitbucket's`;
  return [
    fail(
      check,
      detail,
      "Let NTP set it (timedatectl set-ntp true); AWS refuses what is signed five minutes off.",
    ),
  ];
}

function scopeFinding({ workspace, credential }: MirroredWorkspace, { scopes }: SeenHeaders): Finding {
  const check = `${workspace}: scopes`;
  if (credential === undefined) return skipped(check, "it has no account: public repositories only");
  if (scopes === undefined)
    return skipped(check, "Bitbucket does not report them; the requests above worked");
  const held = new Set(scopes.split(/[\s,]+/).filter((scope) => scope !== ""));
  const missing = [...READ_SCOPES, ...WEBHOOK_SCOPES].filter(
    (scope) => !held.has(scope) && !OTHER_NAMES[scope]?.some((other) => held.has(other)),
  );
  if (missing.length === 0) return ok(check, [...held].join(", "));
  const advice =
    "Make a new token that has them too, at id.atlassian.com or in the workspace's settings, and store it in place of the old one.";
  return fail(check, `the account lacks ${missing.join(", ")}`, advice);
}

async function gitFinding(
  workspace: MirroredWorkspace,
  { uuid, workspace: owner, slug, fullName }: BitbucketRepository,
  bitbucket: BitbucketAccess,
): Promise<Finding> {
  const check = `${workspace.workspace}: git`;
  try {
    const { upstreamOf } = await bitbucket.primaryOf(workspace);
    const upstream = upstreamOf(uuid, { workspace: owner, slug });
    const { refs } = await upstream.listRefs();
    const how = upstream.foundBy === "name" ? ", by its name only" : "";
    return ok(check, `Bitbucket's git server lists ${counted(refs.length, "ref")} of ${fullName}${how}`);
  } catch (error) {
    return failedWith(check, error, "Check that this machine reaches Bitbucket's git server.");
  }
}

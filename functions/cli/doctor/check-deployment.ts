/** What only a deployment can show, line by line of docs/unverified.md. */
import { Stopped } from "../explain.ts";
import { AWS_CHECKS } from "./deployment/aws.ts";
import { BITBUCKET_CHECKS } from "./deployment/bitbucket.ts";
import { BY_HAND } from "./deployment/by-hand.ts";
import type { DeploymentCheck, DeploymentTargets, Need } from "./deployment/check.ts";
import { GIT_CHECKS } from "./deployment/git.ts";
import { PUSH_CHECKS } from "./deployment/pushes.ts";
import { REQUEST_CHECKS } from "./deployment/requests.ts";
import { STREAMING_CHECK } from "./deployment/streaming.ts";
import { type Finding, fail, failedWith, ok, skipped } from "./finding.ts";

export const DEPLOYMENT_CHECKS: readonly DeploymentCheck[] = [
  ...REQUEST_CHECKS,
  ...BITBUCKET_CHECKS,
  STREAMING_CHECK,
  ...GIT_CHECKS,
  ...PUSH_CHECKS,
  ...AWS_CHECKS,
];

const MISSING: Readonly<Record<Exclude<Need, "account">, string>> = {
  large: "it takes --large with a repository above 200 MB",
  former: "it takes --former with the name that a repository had before it was renamed",
  changes:
    "it takes --changes: it pushes to the repository, or takes parts of the deployment away for some minutes",
  stack: "it takes AWS credentials and a region",
};

/**
 * @returns A finding for each check, and for each line that is to be tried by hand.
 * @throws {Stopped} By a signal, after what a check had changed was restored.
 */
export async function* checkDeployment(targets: DeploymentTargets): AsyncGenerator<Finding> {
  for (const check of DEPLOYMENT_CHECKS) yield await findingOf(check, targets);
  for (const [line, why] of Object.entries(BY_HAND))
    yield skipped(`deployment: ${line}`, `${why}: see docs/unverified.md`);
}

async function findingOf(check: DeploymentCheck, targets: DeploymentTargets): Promise<Finding> {
  const name = `deployment: ${check.name}`;
  const missing = check.needs?.find((need) => !has(targets, need));
  if (missing === "account") {
    const advice = "Set BITBUCKET_EMAIL and BITBUCKET_API_TOKEN, or BITBUCKET_ACCESS_TOKEN.";
    return fail(name, "not tried", advice);
  }
  if (missing !== undefined) return skipped(name, MISSING[missing]);
  try {
    const { status, detail } = await check.run(targets);
    if (status === "fail") return fail(name, detail, check.advice);
    return status === "ok" ? ok(name, detail) : skipped(name, detail);
  } catch (error) {
    if (error instanceof Stopped) throw error;
    return failedWith(name, error, check.advice);
  }
}

function has({ account, large, former, mayChange, stack }: DeploymentTargets, need: Need): boolean {
  if (need === "account") return account.kind !== "none";
  if (need === "large") return large !== undefined;
  if (need === "former") return former !== undefined;
  return need === "changes" ? mayChange === true : stack !== undefined;
}

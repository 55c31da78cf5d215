/** What a check of a deployment is: something that only a deployment, or Bitbucket itself, can show. */
import type { BitbucketAccount } from "../../../../lib/bitbucket/credential.ts";
import type { DeployedStack } from "../deployed-stack.ts";

export interface DeploymentTargets {
  /** Of the mirror, without a slash at its end. */
  readonly mirrorUrl: string;
  /** `workspace/slug` of a mirrored repository that is private. */
  readonly repository: string;
  /** `workspace/slug` of a mirrored repository above 200 MB. */
  readonly large?: string | undefined;
  /** `workspace/slug`: what a repository was called before it was renamed at Bitbucket. */
  readonly former?: string | undefined;
  /** Whether checks may push to `repository` and change the deployment for some minutes. */
  readonly mayChange?: boolean | undefined;
  readonly gitUrl: string;
  readonly apiUrl: string;
  /** Of a caller who may read the repositories; write `repository` for what pushes. */
  readonly account: BitbucketAccount;
  /** Absent without AWS credentials. */
  readonly stack?: DeployedStack | undefined;
}

export type Need = "account" | "large" | "former" | "changes" | "stack";

export interface Outcome {
  readonly status: "ok" | "fail" | "skipped";
  readonly detail: string;
}

export interface DeploymentCheck {
  readonly name: string;
  /** Lines of docs/unverified.md, by their first column. */
  readonly settles: readonly string[];
  readonly needs?: readonly Need[];
  /** What it shows to be so, or not. Throws where it cannot be tried. */
  readonly run: (targets: DeploymentTargets) => Promise<Outcome>;
  readonly advice: string;
}

export function seen(detail = "as expected"): Outcome {
  return { status: "ok", detail };
}

/** @param problem - `undefined`: there is none. */
export function judged(problem: string | undefined, detail?: string): Outcome {
  return problem === undefined ? seen(detail) : { status: "fail", detail: problem };
}

export function notShown(why: string): Outcome {
  return { status: "skipped", detail: why };
}

export function statusOf(actual: number, ...expected: readonly number[]): string | undefined {
  return expected.includes(actual) ? undefined : `answers ${actual}, expected ${expected.join(" or ")}`;
}

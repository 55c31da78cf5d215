/**
 * Which permissions of the functions' roles the whole test suite has used: each deployment that a test starts writes down its own, and
 * `npm run unused-permissions -- <folder>` compares all of them with the roles, after the tests.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CallPolicies } from "./call-policies.ts";

interface PermissionRecord {
  readonly used: readonly string[];
  readonly unused: readonly string[];
}

/** Permissions that no test uses, by patterns of `function action resource`, and why they are there. */
const NEVER_USED: Readonly<Record<string, string>> = {
  "\\w+ logs:.*": "Lambda itself writes the log",
  "\\w+ s3:ListBucket nearside": "without it S3 answers 403 for a missing key",
  "\\w+ s3:GetObject nearside/config.last-valid.json": "a process that starts while config.json is not valid",
  "\\w+ sqs:GetQueueUrl .*": "CDK grants it with the others of an event source",
  "\\w+ s3:AbortMultipartUpload .*": "an upload that fails on its way",
  "gitHttp s3:DeleteObject nearside/answers/.*": "answers that cannot be read",
  "gitHttp sqs:SendMessage LfsQueue.*": "files that the primary offers and the copier does not know",
  "authorizer s3:GetObject nearside/repos/\\*/repository.json": "probes by name",
  "pages s3:GetObject nearside/(projects/\\*|repos/\\*/ref-snapshots/\\*)": "the proof by the same refs",
  "status s3:GetObject nearside/projects/\\*": "a repository by its project's key",
  "sync s3:(ListBucketVersions|DeleteObject|DeleteObjectVersion) nearside(/repos/.*|/answers/.*)?":
    "the janitor, a day after what it found, and the end of the retention time",
  "(sync|reconcile) s3:\\w+ nearside/(failures|findings|webhooks|workspaces)/\\*":
    "a sync that fails, and what a list of the workspace finds",
  "lfsSync s3:\\w+ nearside/lfs-parts/\\*": "files above 256 MiB",
  "lfsSync s3:(Delete\\w+ .*|ListBucketVersions nearside)": "files that no repository points to, after a day",
  "lfsSync s3:PutObject nearside/repos/\\*/objects/pack/\\*.lfs-1": "packs of an older release",
  "reconcile s3:GetObject nearside/(projects|repos)/\\*": "repositories that it takes out, and other lists",
  "reconcile s3:PutObject nearside/(config.json|projects/\\*)":
    "a workspace that is gone, a project that is renamed",
};

/** Beside these, what the tests of other files use. */
const USED_BY_OTHERS: Readonly<Record<string, string>> = {
  "(gitHttp|sync) s3:PutObject nearside/answers/.*": "answers that are kept",
  "gitHttp s3:(Get|Put)Object nearside/refused/.*": "an answer above 200 MB: lambda-large.test.ts",
  "(authorizer|pages) s3:GetObject nearside/repos/\\*/(manifest.json|ref-snapshots/\\*|repository.json)":
    "the proof by the same refs, and probes by name",
  "pages (s3:PutObject nearside/auth/\\*|s3:GetObject nearside/(auth|names|projects|repos)/\\*|ssm:GetParameter .*)":
    "a session, for which Bitbucket's REST is asked: page tests",
};

export const UNUSED_BY_ONE_TEST = { ...NEVER_USED, ...USED_BY_OTHERS };

const FILE_PREFIX = "permissions-";

/** Where the tests' output is kept; nowhere by default. */
export function recordPermissions(policies: CallPolicies): void {
  const output = process.env["NEARSIDE_TEST_OUTPUT"];
  if (output === undefined || output === "") return;
  const record: PermissionRecord = { used: policies.used(), unused: policies.unused() };
  writeFileSync(join(output, `${FILE_PREFIX}${randomUUID()}.json`), JSON.stringify(record));
}

export interface Comparison {
  /** Unused, and without a reason. */
  readonly unexpected: readonly string[];
  /** Reasons of what is used, or does not exist. */
  readonly stale: readonly string[];
}

/** @param reasons - As above. */
export function comparePermissions(
  unused: readonly string[],
  reasons: Readonly<Record<string, string>>,
): Comparison {
  const patterns = Object.keys(reasons);
  const fits = (permission: string, pattern: string) => new RegExp(`^${pattern}$`).test(permission);
  return {
    unexpected: unused.filter((permission) => !patterns.some((pattern) => fits(permission, pattern))),
    stale: patterns.filter((pattern) => !unused.some((permission) => fits(permission, pattern))),
  };
}

function unusedByAll(output: string): string[] {
  const records = readdirSync(output)
    .filter((name) => name.startsWith(FILE_PREFIX))
    .map((name) => JSON.parse(readFileSync(join(output, name), "utf8")) as PermissionRecord);
  const used = new Set(records.flatMap((record) => record.used));
  return [...new Set(records.flatMap(({ unused }) => unused))].filter((one) => !used.has(one)).toSorted();
}

if (import.meta.main) {
  const { unexpected, stale } = comparePermissions(unusedByAll(process.argv[2] ?? ""), NEVER_USED);
  for (const permission of unexpected) console.error(`no test uses: ${permission}`);
  // Some depend on what happens at the same time.
  for (const pattern of stale) console.error(`used now: ${pattern}`);
  process.exitCode = unexpected.length === 0 ? 0 : 1;
}

/** What a function may do in the bucket: with the keys of the layout and no others. */
import { type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IBucket } from "aws-cdk-lib/aws-s3";

/** A new bucket or one that exists. */
export type MirrorBucket = Pick<
  IBucket,
  "bucketName" | "bucketArn" | "arnForObjects" | "addToResourcePolicy"
>;

const CONFIG_KEYS = ["config.json", "config.last-valid.json"];
const NAME_KEYS = ["names/*", "projects/*"];
const REPOSITORY_KEYS = [...NAME_KEYS, "repos/*"];
/** Which refs are served: the manifest names the snapshot. */
const REF_KEYS = ["repos/*/manifest.json", "repos/*/ref-snapshots/*"];
const VERDICT_KEYS = ["auth/*"];
/** Push markers. */
const PUSH_MARKER_KEYS = ["repos/*/announced"];
/** Finished answers, which may be lost at any time. */
const ANSWER_KEYS = ["answers/*"];
/** LFS files, parts of large ones that are not whole yet, and what is to be deleted. */
const LFS_KEYS = ["lfs/*", "lfs-parts/*", "lfs-sweep.json"];
/** What is known of a repository's LFS files, and the pointers of its packs. */
const LFS_REPOSITORY_KEYS = ["repos/*/lfs.json", "repos/*/lfs/*", "repos/*/objects/pack/*.lfs-1"];
/** Callers to whom an answer was refused as too large. */
const REFUSAL_KEYS = ["refused/*"];
const WRITE_ACTIONS = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"];
/** What reconcile keeps. */
const RECORD_KEYS = ["workspaces/*", "failures/*", "findings/*", "webhooks/*"];

/** The configuration, which says what is mirrored. */
export function grantReadConfig(bucket: MirrorBucket, grantee: IGrantable): void {
  grantRead(bucket, grantee, CONFIG_KEYS);
}

export function grantReadRepositories(bucket: MirrorBucket, grantee: IGrantable): void {
  grantRead(bucket, grantee, [...CONFIG_KEYS, ...REPOSITORY_KEYS]);
}

/** For reconcile: it reads records, reserves and releases names, drops a workspace from the configuration when its data is gone, and copies the last valid configuration. */
export function grantReconcile(bucket: MirrorBucket, grantee: IGrantable): void {
  grantReadRepositories(bucket, grantee);
  grant(grantee, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], arns(bucket, RECORD_KEYS));
  // A removed document leaves a tombstone.
  grant(grantee, ["s3:PutObject"], arns(bucket, NAME_KEYS));
  grant(grantee, ["s3:PutObject"], arns(bucket, CONFIG_KEYS));
}

/** To resolve names, compare refs, keep verdicts, and find repositories to probe the primary with; no objects. */
export function grantDecideAccess(bucket: MirrorBucket, grantee: IGrantable): void {
  grantRead(bucket, grantee, [
    ...CONFIG_KEYS,
    "workspaces/*",
    ...NAME_KEYS,
    ...REF_KEYS,
    "repos/*/repository.json",
    ...VERDICT_KEYS,
  ]);
  grant(grantee, ["s3:PutObject"], arns(bucket, VERDICT_KEYS));
}

/** For webhooks. */
export function grantPushMarker(bucket: MirrorBucket, grantee: IGrantable): void {
  grantReadConfig(bucket, grantee);
  grant(grantee, ["s3:PutObject"], arns(bucket, PUSH_MARKER_KEYS));
}

/** To note a refused answer, and find the note at the next try. */
export function grantNoteRefusals(bucket: MirrorBucket, grantee: IGrantable): void {
  grant(grantee, ["s3:GetObject", "s3:PutObject"], arns(bucket, REFUSAL_KEYS));
}

/** To change the configuration, and what lists of a workspace count for. */
export function grantAdminister(bucket: MirrorBucket, grantee: IGrantable): void {
  grantRead(bucket, grantee, CONFIG_KEYS);
  grant(grantee, ["s3:PutObject"], arns(bucket, ["config.json"]));
  grant(grantee, ["s3:GetObject", "s3:PutObject"], arns(bucket, ["workspaces/*"]));
}

/** What administrators did on the pages. */
export function grantKeepAdminLog(bucket: MirrorBucket, grantee: IGrantable): void {
  grant(grantee, ["s3:GetObject", "s3:PutObject"], arns(bucket, ["admin-log/*"]));
}

/** Beside reading: what a server of clones may write. */
export function grantKeepAnswers(bucket: MirrorBucket, grantee: IGrantable): void {
  grant(grantee, ["s3:GetObject", ...WRITE_ACTIONS], arns(bucket, ANSWER_KEYS));
}

export function grantReadWriteRepositories(bucket: MirrorBucket, grantee: IGrantable): void {
  grantReadRepositories(bucket, grantee);
  grant(grantee, WRITE_ACTIONS, arns(bucket, ["repos/*"]));
  grantKeepAnswers(bucket, grantee);
  grant(grantee, ["s3:PutObject"], arns(bucket, NAME_KEYS));
  // A project that was renamed is gone through by a sync function as well.
  grant(grantee, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], arns(bucket, RECORD_KEYS));
  grantRemoveVersions(bucket, grantee, ["repos/*", ...ANSWER_KEYS]);
  // The janitor looks for abandoned uploads.
  grant(grantee, ["s3:ListBucketMultipartUploads"], [bucket.bucketArn]);
}

/** A presigned link may do what its signer may. */
export function grantLinkLfsFiles(bucket: MirrorBucket, grantee: IGrantable): void {
  grant(grantee, ["s3:GetObject"], arns(bucket, ["lfs/*"]));
}

/** To copy LFS files, keep what is known of them, and delete those that no repository points to. */
export function grantCopyLfsFiles(bucket: MirrorBucket, grantee: IGrantable): void {
  grantRead(bucket, grantee, [...CONFIG_KEYS, "workspaces/*", "repos/*", ...LFS_KEYS]);
  grant(grantee, WRITE_ACTIONS, arns(bucket, [...LFS_KEYS, ...LFS_REPOSITORY_KEYS]));
  grantRemoveVersions(bucket, grantee, ["lfs/*"]);
}

/** To delete for good what retention ends for. */
function grantRemoveVersions(bucket: MirrorBucket, grantee: IGrantable, patterns: readonly string[]): void {
  grant(grantee, ["s3:DeleteObjectVersion"], arns(bucket, patterns));
  grant(grantee, ["s3:ListBucketVersions"], [bucket.bucketArn]);
}

function grantRead(bucket: MirrorBucket, grantee: IGrantable, patterns: readonly string[]): void {
  grant(grantee, ["s3:GetObject"], arns(bucket, patterns));
  // Not in order to list: without it S3 answers 403 for a missing key, just as for a wrong setting.
  grant(grantee, ["s3:ListBucket"], [bucket.bucketArn]);
}

function arns(bucket: MirrorBucket, patterns: readonly string[]): string[] {
  return patterns.map((pattern) => bucket.arnForObjects(pattern));
}

function grant(grantee: IGrantable, actions: readonly string[], resources: string[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(new PolicyStatement({ actions: [...actions], resources }));
}

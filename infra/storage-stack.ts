/** What must survive: the bucket with the mirrored repositories. Deployed once, changed rarely, never deleted. */
import { Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { AnyPrincipal, Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { type IKey, Key } from "aws-cdk-lib/aws-kms";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  BucketPolicy,
  type LifecycleRule,
  ObjectOwnership,
  StorageClass,
} from "aws-cdk-lib/aws-s3";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";
import { type AddressRange, formatAddressRange } from "../lib/address-ranges.ts";
import type { MirrorBucket } from "./bucket-access.ts";
import type { DeploymentSettings } from "./settings.ts";

export interface StorageStackProps extends StackProps {
  readonly settings: Pick<DeploymentSettings, "allowedAddresses" | "existingBucket" | "kmsKeyArn">;
}

const LIFECYCLE_RULES: LifecycleRule[] = [
  // What was replaced or deleted can be restored for a week; see docs/operations.md.
  {
    id: "forget-earlier-versions",
    noncurrentVersionExpiration: Duration.days(7),
    expiredObjectDeleteMarker: true,
  },
  // A sync lasts 15 minutes at most, so what is unfinished after a day belongs to one that was killed.
  { id: "forget-killed-uploads", abortIncompleteMultipartUploadAfter: Duration.days(1) },
  // Many LFS files are old versions that are never read again.
  {
    id: "tier-lfs-files",
    prefix: "lfs/",
    transitions: [{ storageClass: StorageClass.INTELLIGENT_TIERING, transitionAfter: Duration.days(0) }],
  },
  { id: "forget-parts-of-lfs-files", prefix: "lfs-parts/", expiration: Duration.days(7) },
  // A note of a refused answer counts for ten minutes.
  { id: "forget-refusals", prefix: "refused/", expiration: Duration.days(1) },
  // Syncs remove answers after three days; this is for repositories without a sync.
  { id: "forget-answers", prefix: "answers/", expiration: Duration.days(30) },
  // A verdict is used for a day at most: the maximum of staleMinutes in lib/settings.ts.
  { id: "forget-verdicts", prefix: "auth/", expiration: Duration.days(2) },
];

export class StorageStack extends Stack {
  readonly bucket: MirrorBucket;
  /** Under which the authorizer remembers callers. A new one only makes it ask the primary again. */
  readonly authSecret: Secret;

  constructor(scope: Construct, id: string, { settings, ...props }: StorageStackProps) {
    super(scope, id, { ...props, terminationProtection: true });
    const { allowedAddresses, existingBucket, kmsKeyArn } = settings;
    const key = kmsKeyArn === undefined ? undefined : Key.fromKeyArn(this, "Key", kmsKeyArn);
    this.bucket = existingBucket === undefined ? this.#newBucket(key) : this.#existingBucket(existingBucket);
    if (allowedAddresses.length > 0)
      this.bucket.addToResourcePolicy(linksOnlyFrom(this.bucket, allowedAddresses));
    this.authSecret = new Secret(this, "AuthSecret", {
      description: "Under which the mirror's authorizer remembers callers",
      ...(key !== undefined && { encryptionKey: key }),
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
  }

  #newBucket(key: IKey | undefined): Bucket {
    return new Bucket(this, "Repositories", {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      // By bucket key: KMS is not asked for each object.
      ...(key === undefined
        ? { encryption: BucketEncryption.S3_MANAGED }
        : { encryption: BucketEncryption.KMS, encryptionKey: key, bucketKeyEnabled: true }),
      versioned: true,
      enforceSSL: true,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: LIFECYCLE_RULES,
    });
  }

  /** Its policy went with the stack that made it; the rest of its settings stayed. */
  #existingBucket(name: string): MirrorBucket {
    const bucket = Bucket.fromBucketName(this, "Repositories", name);
    const policy = new BucketPolicy(this, "RepositoriesPolicy", { bucket });
    policy.document.addStatements(
      new PolicyStatement({
        effect: Effect.DENY,
        principals: [new AnyPrincipal()],
        actions: ["s3:*"],
        resources: [bucket.bucketArn, bucket.arnForObjects("*")],
        conditions: { Bool: { "aws:SecureTransport": "false" } },
      }),
    );
    bucket.policy = policy;
    return bucket;
  }
}

/** The mirror's own functions sign in a header, so they are not meant. */
function linksOnlyFrom(bucket: MirrorBucket, ranges: readonly AddressRange[]): PolicyStatement {
  return new PolicyStatement({
    sid: "LinksOnlyFromAllowedAddresses",
    effect: Effect.DENY,
    principals: [new AnyPrincipal()],
    actions: ["s3:GetObject"],
    resources: [bucket.arnForObjects("*")],
    conditions: {
      StringEquals: { "s3:authType": "REST-QUERY-STRING" },
      NotIpAddress: { "aws:SourceIp": ranges.map(formatAddressRange) },
    },
  });
}

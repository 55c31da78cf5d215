/** What must survive: the bucket with the mirrored repositories. Deployed once, changed rarely, never deleted. */
import { Duration, RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  ObjectOwnership,
  StorageClass,
} from "aws-cdk-lib/aws-s3";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Construct } from "constructs";

export class StorageStack extends Stack {
  readonly bucket: Bucket;
  /** Under which the authorizer remembers callers. A new one only makes it ask the primary again. */
  readonly authSecret: Secret;

  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, { ...props, terminationProtection: true });
    this.bucket = new Bucket(this, "Repositories", {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        // A sync lasts 15 minutes at most, so what is unfinished after a day belongs to one that was killed.
        { id: "forget-killed-uploads", abortIncompleteMultipartUploadAfter: Duration.days(1) },
        // A verdict is used for a day at most: the maximum of staleMinutes in lib/settings.ts.
        // Many LFS files are old versions that are never read again.
        {
          id: "tier-lfs-files",
          prefix: "lfs/",
          transitions: [
            { storageClass: StorageClass.INTELLIGENT_TIERING, transitionAfter: Duration.days(0) },
          ],
        },
        { id: "forget-parts-of-lfs-files", prefix: "lfs-parts/", expiration: Duration.days(7) },
        { id: "forget-verdicts", prefix: "auth/", expiration: Duration.days(2) },
      ],
    });
    this.authSecret = new Secret(this, "AuthSecret", {
      description: "Under which the mirror's authorizer remembers callers",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
  }
}

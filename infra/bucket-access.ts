/** What a function may do in the bucket: with the keys of the layout and no others. */
import { type IGrantable, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Bucket } from "aws-cdk-lib/aws-s3";

const REPOSITORY_KEYS = ["names/*", "repos/*"];

export function grantReadRepositories(bucket: Bucket, grantee: IGrantable): void {
  grant(grantee, ["s3:GetObject"], repositoryArns(bucket));
  // Not in order to list: without it S3 answers 403 for a missing key, which then cannot be told from a wrong setting.
  grant(grantee, ["s3:ListBucket"], [bucket.bucketArn]);
}

export function grantReadWriteRepositories(bucket: Bucket, grantee: IGrantable): void {
  grantReadRepositories(bucket, grantee);
  grant(grantee, ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], repositoryArns(bucket));
  // The janitor looks for uploads that nobody will complete.
  grant(grantee, ["s3:ListBucketMultipartUploads"], [bucket.bucketArn]);
}

function repositoryArns(bucket: Bucket): string[] {
  return REPOSITORY_KEYS.map((pattern) => bucket.arnForObjects(pattern));
}

function grant(grantee: IGrantable, actions: string[], resources: string[]): void {
  grantee.grantPrincipal.addToPrincipalPolicy(new PolicyStatement({ actions, resources }));
}

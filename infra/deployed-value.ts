/** A secret as a variable of a function's environment. */
import { SecretValue } from "aws-cdk-lib";
import type { Secret } from "aws-cdk-lib/aws-secretsmanager";

/**
 * A dynamic reference: CloudFormation reads the secret when it deploys, so that a cold start asks for nothing. It reads it again only
 * if the reference has changed, which is what the version is for.
 */
export function deployedValue({ secretArn }: Secret, versionId: string | undefined): string {
  return SecretValue.secretsManager(secretArn, versionId === undefined ? {} : { versionId }).unsafeUnwrap();
}

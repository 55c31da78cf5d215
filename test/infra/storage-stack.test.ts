import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { deployment } from "../support/deployment.ts";

describe("the storage stack", () => {
  test("keeps the bucket private, encrypted, and when the stack is deleted", () => {
    const { storage } = deployment();
    const template = Template.fromStack(storage);
    template.hasResource("AWS::S3::Bucket", {
      DeletionPolicy: "Retain",
      UpdateReplacePolicy: "Retain",
      Properties: {
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        BucketEncryption: Match.anyValue(),
        VersioningConfiguration: { Status: "Enabled" },
        LifecycleConfiguration: {
          Rules: [
            Match.objectLike({
              NoncurrentVersionExpiration: { NoncurrentDays: 7 },
              ExpiredObjectDeleteMarker: true,
            }),
            Match.objectLike({
              AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
              Status: "Enabled",
            }),
            Match.objectLike({
              Prefix: "lfs/",
              Transitions: [{ StorageClass: "INTELLIGENT_TIERING", TransitionInDays: 0 }],
            }),
            Match.objectLike({ Prefix: "lfs-parts/", ExpirationInDays: 7, Status: "Enabled" }),
            Match.objectLike({ Prefix: "refused/", ExpirationInDays: 1, Status: "Enabled" }),
            Match.objectLike({ Prefix: "answers/", ExpirationInDays: 30, Status: "Enabled" }),
            Match.objectLike({ Prefix: "auth/", ExpirationInDays: 2, Status: "Enabled" }),
          ],
        },
      },
    });
    template.hasResourceProperties("AWS::S3::BucketPolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } }),
        ]),
      },
    });
    expect(storage.terminationProtection).toBe(true);
  });

  test("hands out links that work from these addresses only", () => {
    const denials = (file: object) =>
      Object.values(Template.fromStack(deployment(file).storage).findResources("AWS::S3::BucketPolicy"))
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .filter(({ Sid }) => Sid === "LinksOnlyFromAllowedAddresses");
    expect(denials({})).toEqual([]);
    expect(denials({ allowedAddresses: ["203.0.113.0/24", "2001:db8::/32"] })).toMatchObject([
      {
        Effect: "Deny",
        Principal: { AWS: "*" },
        Action: "s3:GetObject",
        Condition: {
          StringEquals: { "s3:authType": "REST-QUERY-STRING" },
          NotIpAddress: { "aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"] },
        },
      },
    ]);
  });
});

/** What may be rebuilt at any time: functions, queue and API. It holds no data. */
import { CfnOutput, Duration, Size, Stack, type StackProps } from "aws-cdk-lib";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import type { Construct } from "constructs";
import { ENV } from "../lib/config.ts";
import { grantDecideAccess, grantReadRepositories, grantReadWriteRepositories } from "./bucket-access.ts";
import { GitEndpoint } from "./git-endpoint.ts";
import { MEMORY_MIB_PER_CPU, MirrorFunction } from "./mirror-function.ts";
import type { Settings } from "./settings.ts";
import { SyncQueue } from "./sync-queue.ts";

/** It waits for the primary, mostly; more memory only makes it start sooner. */
const AUTHORIZER_MEMORY_MIB = 512;
/** API Gateway gives up on an authorizer after 29 s. */
const AUTHORIZER_TIMEOUT = Duration.seconds(29);

export interface ServiceStackProps extends StackProps {
  readonly bucket: Bucket;
  readonly authSecret: Secret;
  readonly settings: Settings;
  readonly codeFolders: { readonly authorizer: string; readonly gitHttp: string; readonly sync: string };
}

export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props);
    const gitHttp = this.#gitHttp(props);
    const endpoint = new GitEndpoint(this, "GitEndpoint", {
      gitHttp: gitHttp.lambda,
      authorizer: this.#authorizer(props).lambda,
      allowedAddresses: props.settings.allowedAddresses,
      setsApiLogRole: props.settings.setsApiLogRole,
    });
    const queue = new SyncQueue(this, "SyncQueue");
    queue.feed(this.#sync(props, queue.queue).lambda);
    new CfnOutput(this, "GitUrl", { value: endpoint.api.url });
    new CfnOutput(this, "SyncQueueUrl", { value: queue.queue.queueUrl });
    new CfnOutput(this, "BucketName", { value: props.bucket.bucketName });
  }

  #authorizer({ bucket, authSecret, codeFolders, settings }: ServiceStackProps): MirrorFunction {
    const authorizer = new MirrorFunction(this, "Authorizer", {
      codeFolder: codeFolders.authorizer,
      memoryMib: AUTHORIZER_MEMORY_MIB,
      timeout: AUTHORIZER_TIMEOUT,
      environment: {
        [ENV.bucket]: bucket.bucketName,
        [ENV.authSecret]: authSecret.secretName,
        ...settings.accessEnvironment,
      },
    });
    grantDecideAccess(bucket, authorizer.role);
    authSecret.grantRead(authorizer.role);
    // SSM hands out secrets of Secrets Manager under this name, to whoever may read both.
    const parameterArn = this.formatArn({
      service: "ssm",
      resource: "parameter",
      resourceName: `aws/reference/secretsmanager/${authSecret.secretName}`,
    });
    authorizer.role.addToPolicy(
      new PolicyStatement({ actions: ["ssm:GetParameter"], resources: [parameterArn] }),
    );
    return authorizer;
  }

  #gitHttp({ bucket, codeFolders, settings }: ServiceStackProps): MirrorFunction {
    const gitHttp = new MirrorFunction(this, "GitHttp", {
      codeFolder: codeFolders.gitHttp,
      memoryMib: MEMORY_MIB_PER_CPU,
      environment: { [ENV.bucket]: bucket.bucketName, ...settings.accessEnvironment },
    });
    grantReadRepositories(bucket, gitHttp.role);
    return gitHttp;
  }

  #sync({ bucket, codeFolders, settings }: ServiceStackProps, queue: Queue): MirrorFunction {
    const { accessEnvironment, credentialParameterName } = settings;
    const sync = new MirrorFunction(this, "Sync", {
      codeFolder: codeFolders.sync,
      memoryMib: 2 * MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: {
        [ENV.bucket]: bucket.bucketName,
        [ENV.syncQueueUrl]: queue.queueUrl,
        ...accessEnvironment,
        ...(credentialParameterName !== undefined && { [ENV.credentialParameter]: credentialParameterName }),
      },
    });
    grantReadWriteRepositories(bucket, sync.role);
    if (credentialParameterName !== undefined) {
      const names = { parameterName: credentialParameterName };
      StringParameter.fromSecureStringParameterAttributes(this, "Credential", names).grantRead(sync.role);
    }
    return sync;
  }
}

/** What may be rebuilt at any time: functions, queue and API. It holds no data. */
import { CfnOutput, Size, Stack, type StackProps } from "aws-cdk-lib";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import type { Construct } from "constructs";
import { ENV } from "../lib/config.ts";
import { grantReadRepositories, grantReadWriteRepositories } from "./bucket-access.ts";
import { type Access, GitEndpoint } from "./git-endpoint.ts";
import { MEMORY_MIB_PER_CPU, MirrorFunction } from "./mirror-function.ts";
import { SyncQueue } from "./sync-queue.ts";

export interface ServiceStackProps extends StackProps {
  readonly bucket: Bucket;
  readonly access: Access;
  readonly setsApiLogRole: boolean;
  /** Name of an SSM parameter (SecureString) of this account. */
  readonly credentialParameterName?: string;
  readonly codeFolders: { readonly gitHttp: string; readonly sync: string };
}

export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props);
    const gitHttp = this.#gitHttp(props);
    const endpoint = new GitEndpoint(this, "GitEndpoint", {
      gitHttp: gitHttp.lambda,
      access: props.access,
      setsApiLogRole: props.setsApiLogRole,
    });
    const queue = new SyncQueue(this, "SyncQueue");
    queue.feed(this.#sync(props, queue.queue).lambda);
    new CfnOutput(this, "GitUrl", { value: endpoint.api.url });
    new CfnOutput(this, "SyncQueueUrl", { value: queue.queue.queueUrl });
    new CfnOutput(this, "BucketName", { value: props.bucket.bucketName });
  }

  #gitHttp({ bucket, codeFolders }: ServiceStackProps): MirrorFunction {
    const gitHttp = new MirrorFunction(this, "GitHttp", {
      codeFolder: codeFolders.gitHttp,
      memoryMib: MEMORY_MIB_PER_CPU,
      environment: { [ENV.bucket]: bucket.bucketName },
    });
    grantReadRepositories(bucket, gitHttp.role);
    return gitHttp;
  }

  #sync({ bucket, codeFolders, credentialParameterName }: ServiceStackProps, queue: Queue): MirrorFunction {
    const sync = new MirrorFunction(this, "Sync", {
      codeFolder: codeFolders.sync,
      memoryMib: 2 * MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: {
        [ENV.bucket]: bucket.bucketName,
        [ENV.syncQueueUrl]: queue.queueUrl,
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

/** What may be rebuilt at any time: functions, queue, schedule and API. It holds no data. */
import { ArnFormat, CfnOutput, Duration, Size, Stack, type StackProps } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction as LambdaTarget } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import {
  ACCOUNT_SECRET_FOLDER,
  ENV,
  EVENT_SOURCE,
  RELAY_SECRET_FOLDER,
  WEBHOOK_SECRET_NAME,
} from "../lib/config.ts";
import {
  grantAnnounce,
  grantCopyLfsFiles,
  grantDecideAccess,
  grantKeepAnswers,
  grantLinkLfsFiles,
  grantNoteRefusals,
  grantReadConfig,
  grantReadRepositories,
  grantReadWriteRepositories,
  grantReconcile,
} from "./bucket-access.ts";
import { SERVING_NODE_OPTIONS } from "./bundle.ts";
import { GitEndpoint } from "./git-endpoint.ts";
import { JobQueue } from "./job-queue.ts";
import { MEMORY_MIB_PER_CPU, MirrorFunction } from "./mirror-function.ts";
import type { DeploymentSettings } from "./settings.ts";

/** It waits for the primary, mostly; more memory only makes it start sooner. */
const AUTHORIZER_MEMORY_MIB = 512;
/** API Gateway gives up on an authorizer after 29 s. */
const AUTHORIZER_TIMEOUT = Duration.seconds(29);

/** A quick one is one request to Bitbucket for each workspace. */
const RECONCILE_EVERY = Duration.minutes(5);

/** Bitbucket gives up after ten seconds. */
const WEBHOOK_TIMEOUT = Duration.seconds(9);

/** It waits for receivers, ten seconds at the most for each. */
const RELAY_MEMORY_MIB = 512;
const RELAY_TIMEOUT = Duration.minutes(1);

/** Ten syncs: the primary limits the requests of one credential. */
const SYNC_QUEUE = { visibilityTimeout: Duration.minutes(18), maxConcurrency: 10 };
/** A queue of its own: large files must not keep pushes waiting. */
const LFS_QUEUE = { visibilityTimeout: Duration.minutes(18), maxConcurrency: 10 };
/** A queue of its own: receivers that hang must not keep syncs waiting. Nor each other: there are four groups for each of 21. */
const RELAY_QUEUE = { visibilityTimeout: Duration.minutes(2), maxConcurrency: 84 };

export interface ServiceStackProps extends StackProps {
  readonly bucket: Bucket;
  readonly authSecret: Secret;
  readonly settings: DeploymentSettings;
  readonly codeFolders: Record<
    "authorizer" | "gitHttp" | "sync" | "lfsSync" | "webhook" | "reconcile" | "relay",
    string
  >;
}

export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props);
    const queue = new JobQueue(this, "SyncQueue", SYNC_QUEUE);
    const lfsQueue = new JobQueue(this, "LfsQueue", LFS_QUEUE);
    const gitHttp = this.#gitHttp(props, queue.queue, lfsQueue.queue);
    const endpoint = new GitEndpoint(this, "GitEndpoint", {
      gitHttp: gitHttp.lambda,
      webhook: this.#webhook(props, queue.queue).lambda,
      authorizer: this.#authorizer(props).lambda,
      allowedAddresses: props.settings.allowedAddresses,
      setsApiLogRole: props.settings.setsApiLogRole,
    });
    const relayQueue = new JobQueue(this, "RelayQueue", RELAY_QUEUE);
    queue.feed(this.#sync(props, { queue, relayQueue, lfsQueue }).lambda);
    lfsQueue.feed(this.#lfsSync(props, lfsQueue.queue).lambda);
    relayQueue.feed(this.#relay(props, relayQueue.queue, endpoint.api.url).lambda);
    const reconcile = this.#reconcile(props, queue.queue, endpoint.api.url);
    new Rule(this, "ReconcileSchedule", {
      schedule: Schedule.rate(RECONCILE_EVERY),
      // One that fails is made up for by the next.
      targets: [new LambdaTarget(reconcile.lambda, { retryAttempts: 0 })],
    });
    new CfnOutput(this, "ReconcileFunction", { value: reconcile.lambda.functionName });
    new CfnOutput(this, "DeadLetterQueueUrl", { value: queue.deadLetterQueue.queueUrl });
    new CfnOutput(this, "RelayQueueUrl", { value: relayQueue.queue.queueUrl });
    new CfnOutput(this, "RelayDeadLetterQueueUrl", { value: relayQueue.deadLetterQueue.queueUrl });
    new CfnOutput(this, "LfsQueueUrl", { value: lfsQueue.queue.queueUrl });
    new CfnOutput(this, "LfsDeadLetterQueueUrl", { value: lfsQueue.deadLetterQueue.queueUrl });
    new CfnOutput(this, "GitUrl", { value: endpoint.api.url });
    new CfnOutput(this, "SyncQueueUrl", { value: queue.queue.queueUrl });
    new CfnOutput(this, "BucketName", { value: props.bucket.bucketName });
  }

  #authorizer(props: ServiceStackProps): MirrorFunction {
    const { bucket, authSecret, codeFolders } = props;
    const authorizer = new MirrorFunction(this, "Authorizer", {
      codeFolder: codeFolders.authorizer,
      memoryMib: AUTHORIZER_MEMORY_MIB,
      timeout: AUTHORIZER_TIMEOUT,
      // A dynamic reference: CloudFormation reads the secret when it deploys, so that a cold start asks for nothing.
      environment: { ...environmentOf(props), [ENV.authSecret]: authSecret.secretValue.unsafeUnwrap() },
    });
    grantDecideAccess(bucket, authorizer.role);
    // The mirror's accounts, to find out whether the primary is away.
    this.#grantSecrets(
      authorizer.role,
      ["ssm:GetParameter"],
      `${props.settings.secretPath}${ACCOUNT_SECRET_FOLDER}*`,
    );
    return authorizer;
  }

  /** Answers git-lfs as well: its batches are small, and a clone has this function warm by then. */
  #gitHttp(props: ServiceStackProps, queue: Queue, lfsQueue: Queue): MirrorFunction {
    const { bucket, codeFolders } = props;
    const gitHttp = new MirrorFunction(this, "GitHttp", {
      codeFolder: codeFolders.gitHttp,
      nodeOptions: SERVING_NODE_OPTIONS,
      memoryMib: MEMORY_MIB_PER_CPU,
      environment: {
        ...environmentOf(props),
        [ENV.syncQueueUrl]: queue.queueUrl,
        [ENV.lfsQueueUrl]: lfsQueue.queueUrl,
      },
    });
    grantReadRepositories(bucket, gitHttp.role);
    grantLinkLfsFiles(bucket, gitHttp.role);
    grantKeepAnswers(bucket, gitHttp.role);
    grantNoteRefusals(bucket, gitHttp.role);
    queue.grantSendMessages(gitHttp.role);
    lfsQueue.grantSendMessages(gitHttp.role);
    return gitHttp;
  }

  #webhook(props: ServiceStackProps, queue: Queue): MirrorFunction {
    const webhook = new MirrorFunction(this, "Webhook", {
      codeFolder: props.codeFolders.webhook,
      // A larger one starts faster.
      memoryMib: MEMORY_MIB_PER_CPU,
      timeout: WEBHOOK_TIMEOUT,
      environment: {
        ...environmentOf(props),
        [ENV.syncQueueUrl]: queue.queueUrl,
        [ENV.webhookAddresses]: props.settings.webhookAddresses,
      },
    });
    grantAnnounce(props.bucket, webhook.role);
    queue.grantSendMessages(webhook.role);
    this.#grantSecrets(
      webhook.role,
      ["ssm:GetParameter"],
      `${props.settings.secretPath}${WEBHOOK_SECRET_NAME}`,
    );
    return webhook;
  }

  #reconcile(props: ServiceStackProps, queue: Queue, mirrorUrl: string): MirrorFunction {
    const reconcile = new MirrorFunction(this, "Reconcile", {
      codeFolder: props.codeFolders.reconcile,
      memoryMib: MEMORY_MIB_PER_CPU,
      environment: {
        ...environmentOf(props),
        [ENV.syncQueueUrl]: queue.queueUrl,
        [ENV.mirrorUrl]: mirrorUrl,
        [ENV.mirrorName]: props.settings.stackPrefix,
      },
    });
    grantReconcile(props.bucket, reconcile.role);
    queue.grantSendMessages(reconcile.role);
    this.#grantSecrets(
      reconcile.role,
      ["ssm:GetParameter"],
      `${props.settings.secretPath}${ACCOUNT_SECRET_FOLDER}*`,
    );
    this.#grantSecrets(
      reconcile.role,
      ["ssm:GetParameter", "ssm:PutParameter"],
      `${props.settings.secretPath}${WEBHOOK_SECRET_NAME}`,
    );
    return reconcile;
  }

  #sync(
    props: ServiceStackProps,
    queues: Readonly<Record<"queue" | "relayQueue" | "lfsQueue", JobQueue>>,
  ): MirrorFunction {
    const { queue: syncQueue, relayQueue, lfsQueue } = queues;
    const sync = new MirrorFunction(this, "Sync", {
      codeFolder: props.codeFolders.sync,
      memoryMib: 2 * MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: {
        ...environmentOf(props),
        [ENV.syncQueueUrl]: syncQueue.queue.queueUrl,
        [ENV.relayQueueUrl]: relayQueue.queue.queueUrl,
        [ENV.lfsQueueUrl]: lfsQueue.queue.queueUrl,
      },
    });
    grantReadWriteRepositories(props.bucket, sync.role);
    for (const { queue } of [syncQueue, relayQueue, lfsQueue]) queue.grantSendMessages(sync.role);
    this.#grantSecrets(
      sync.role,
      ["ssm:GetParameter"],
      `${props.settings.secretPath}${ACCOUNT_SECRET_FOLDER}*`,
    );
    return sync;
  }

  #lfsSync(props: ServiceStackProps, queue: Queue): MirrorFunction {
    const lfsSync = new MirrorFunction(this, "LfsSync", {
      codeFolder: props.codeFolders.lfsSync,
      nodeOptions: SERVING_NODE_OPTIONS,
      memoryMib: MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: { ...environmentOf(props), [ENV.lfsQueueUrl]: queue.queueUrl },
    });
    grantCopyLfsFiles(props.bucket, lfsSync.role);
    queue.grantSendMessages(lfsSync.role);
    this.#grantSecrets(
      lfsSync.role,
      ["ssm:GetParameter"],
      `${props.settings.secretPath}${ACCOUNT_SECRET_FOLDER}*`,
    );
    return lfsSync;
  }

  #relay(props: ServiceStackProps, queue: Queue, mirrorUrl: string): MirrorFunction {
    const { bucket, codeFolders, settings } = props;
    const relay = new MirrorFunction(this, "Relay", {
      codeFolder: codeFolders.relay,
      memoryMib: RELAY_MEMORY_MIB,
      timeout: RELAY_TIMEOUT,
      environment: {
        ...environmentOf(props),
        [ENV.relayQueueUrl]: queue.queueUrl,
        [ENV.mirrorUrl]: mirrorUrl,
        [ENV.mirrorName]: settings.stackPrefix,
      },
    });
    grantReadConfig(bucket, relay.role);
    this.#grantSecrets(relay.role, ["ssm:GetParameter"], `${settings.secretPath}${RELAY_SECRET_FOLDER}*`);
    const resources = [this.formatArn({ service: "events", resource: "event-bus", resourceName: "default" })];
    relay.role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ["events:PutEvents"],
        resources,
        conditions: { StringEquals: { "events:source": EVENT_SOURCE } },
      }),
    );
    return relay;
  }

  /** SecureStrings under AWS's own key: who may read the parameter through SSM may have it decrypted. */
  #grantSecrets(role: Role, actions: string[], name: string): void {
    const arn = this.formatArn({
      service: "ssm",
      resource: "parameter",
      resourceName: name.slice(1),
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
    role.addToPrincipalPolicy(new PolicyStatement({ actions, resources: [arn] }));
  }
}

/** Of every function. */
function environmentOf({ bucket, settings }: ServiceStackProps): Record<string, string> {
  return { [ENV.bucket]: bucket.bucketName, ...settings.environment };
}

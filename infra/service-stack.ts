/** What may be rebuilt at any time: functions, queues, schedule and API. It holds no data. */
import { CfnOutput, Duration, Stack, type StackProps } from "aws-cdk-lib";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction as LambdaTarget } from "aws-cdk-lib/aws-events-targets";
import type { Construct } from "constructs";
import { ACCOUNT_SECRET_FOLDER } from "../lib/config.ts";
import { Functions, type FunctionsProps } from "./functions.ts";
import { GitEndpoint } from "./git-endpoint.ts";
import { JobQueue } from "./job-queue.ts";
import type { MirrorFunction } from "./mirror-function.ts";
import { Monitoring } from "./monitoring.ts";
import { adviceAboutAlarms, type DeploymentSettings } from "./settings.ts";
import { StreamTier } from "./stream-tier.ts";

/** A quick one is one request to Bitbucket for each workspace. */
const RECONCILE_EVERY = Duration.minutes(5);

/** Syncs and LFS jobs. Queues of their own: large files must not keep pushes waiting. */
const SYNC_VISIBILITY_TIMEOUT = Duration.minutes(18);
/** A queue of its own: receivers that hang must not keep syncs waiting. Nor each other: there are four groups for each of 21. */
const RELAY_QUEUE = { visibilityTimeout: Duration.minutes(2), maxConcurrency: 84 };

export interface ServiceStackProps
  extends StackProps,
    Omit<FunctionsProps, "queues" | "deadLetterQueues" | "streamTierKeys"> {}

export class ServiceStack extends Stack {
  constructor(scope: Construct, id: string, props: ServiceStackProps) {
    super(scope, id, props);
    const { settings, bucket } = props;
    const { concurrency, kmsKeyArn } = settings;
    const queue = { visibilityTimeout: SYNC_VISIBILITY_TIMEOUT, kmsKeyArn };
    const syncQueue = new JobQueue(this, "SyncQueue", { ...queue, maxConcurrency: concurrency.sync });
    const lfsQueue = new JobQueue(this, "LfsQueue", { ...queue, maxConcurrency: concurrency.lfsSync });
    const relayQueue = new JobQueue(this, "RelayQueue", { ...RELAY_QUEUE, kmsKeyArn });
    const { streamTier } = settings;
    const tier =
      streamTier &&
      new StreamTier(this, "StreamTier", { bucket, settings, tier: streamTier, syncQueue: syncQueue.queue });
    const functions = new Functions(this, {
      ...props,
      streamTierKeys: tier?.keys,
      queues: { sync: syncQueue.queue, lfs: lfsQueue.queue, relay: relayQueue.queue },
      deadLetterQueues: {
        sync: syncQueue.deadLetterQueue,
        lfs: lfsQueue.deadLetterQueue,
        relay: relayQueue.deadLetterQueue,
      },
    });
    const administer = settings.hasPageAdministration ? functions.administer() : undefined;
    const served = {
      gitHttp: functions.gitHttp(),
      status: functions.status(),
      pages: functions.pages(administer),
      webhook: functions.webhook(),
      authorizer: functions.authorizer(),
    };
    const endpoint = new GitEndpoint(this, "GitEndpoint", { functions: served, settings });
    const [sync, lfsSync, relay] = [functions.sync(), functions.lfsSync(), functions.relay(endpoint.url)];
    syncQueue.feed(sync.lambda);
    lfsQueue.feed(lfsSync.lambda);
    relayQueue.feed(relay.lambda);
    const reconcile = functions.reconcile(endpoint.url);
    const { api, accessLog } = endpoint;
    new Monitoring(this, "Monitoring", {
      ...{ settings, api, accessLog },
      streamTier: tier,
      queues: { sync: syncQueue, lfs: lfsQueue, relay: relayQueue },
      functions: { ...served, sync, lfsSync, relay, reconcile },
    });
    this.#schedule(reconcile);
    const store = `s3://${bucket.bucketName}`;
    this.#print({
      GitUrl: endpoint.url,
      BucketName: bucket.bucketName,
      ReconcileFunction: reconcile.lambda.functionName,
      SyncQueueUrl: syncQueue.queue.queueUrl,
      DeadLetterQueueUrl: syncQueue.deadLetterQueue.queueUrl,
      LfsQueueUrl: lfsQueue.queue.queueUrl,
      LfsDeadLetterQueueUrl: lfsQueue.deadLetterQueue.queueUrl,
      RelayQueueUrl: relayQueue.queue.queueUrl,
      RelayDeadLetterQueueUrl: relayQueue.deadLetterQueue.queueUrl,
      AuthSecret: props.authSecret.secretArn,
      ...(tier !== undefined && {
        StreamTierTarget: tier.loadBalancer.loadBalancerDnsName,
        StreamTierKeys: tier.keys.secretArn,
      }),
      ...nextSteps(settings, {
        ...{ store, mirrorUrl: endpoint.url },
        queueUrl: syncQueue.queue.queueUrl,
        deadLetterQueueUrl: syncQueue.deadLetterQueue.queueUrl,
      }),
    });
  }

  /** Without retries of the delivery, and of the function: a round that fails is made up for by the next. */
  #schedule({ lambda }: MirrorFunction): void {
    const once = { retryAttempts: 0, maxEventAge: RECONCILE_EVERY };
    lambda.configureAsyncInvoke(once);
    new Rule(this, "ReconcileSchedule", {
      schedule: Schedule.rate(RECONCILE_EVERY),
      targets: [new LambdaTarget(lambda, once)],
    });
  }

  #print(outputs: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}

interface NextStepsProps {
  readonly store: string;
  readonly mirrorUrl: string;
  readonly queueUrl: string;
  readonly deadLetterQueueUrl: string;
}

/** What to type after a deployment. */
function nextSteps(settings: DeploymentSettings, props: NextStepsProps): Record<string, string> {
  const { store, mirrorUrl, queueUrl, deadLetterQueueUrl } = props;
  const { secretPath } = settings;
  const alarms = adviceAboutAlarms(settings);
  return {
    NextStoreAccount: `aws ssm put-parameter --type SecureString --name ${secretPath}${ACCOUNT_SECRET_FOLDER}bot --value '{"email": "…", "token": "…"}'`,
    NextConnect: `nearside connect <workspace> --credential bot --store ${store} --secret-path ${secretPath}`,
    NextCheck: `nearside doctor --store ${store} --secret-path ${secretPath} --mirror-url ${mirrorUrl} --queue-url ${queueUrl} --dead-letter-queue-url ${deadLetterQueueUrl}`,
    ...(alarms !== undefined && { NextAlarms: alarms }),
  };
}

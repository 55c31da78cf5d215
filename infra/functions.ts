/** The deployed functions: code, memory, time, environment, and the rights that each needs. */
import { Size } from "aws-cdk-lib";
import type { IVpc } from "aws-cdk-lib/aws-ec2";
import type { Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { ACCOUNT_SECRET_FOLDER, ENV, RELAY_SECRET_FOLDER, WEBHOOK_SECRET_NAME } from "../lib/config.ts";
import {
  grantAdminister,
  grantCopyLfsFiles,
  grantDecideAccess,
  grantKeepAdminLog,
  grantKeepAnswers,
  grantLinkLfsFiles,
  grantNoteRefusals,
  grantPushMarker,
  grantReadConfig,
  grantReadRepositories,
  grantReadWriteRepositories,
  grantReconcile,
  type MirrorBucket,
} from "./bucket-access.ts";
import { type FunctionName, SERVING_NODE_OPTIONS } from "./bundle.ts";
import { deployedValue } from "./deployed-value.ts";
import { fixedEgress } from "./egress.ts";
import {
  ADMINISTER_MEMORY_MIB,
  AUTHORIZER_MEMORY_MIB,
  AUTHORIZER_TIMEOUT,
  PAGES_MEMORY_MIB,
  PAGES_TIMEOUT,
  RELAY_MEMORY_MIB,
  RELAY_TIMEOUT,
  STATUS_MEMORY_MIB,
  STATUS_TIMEOUT,
  WEBHOOK_TIMEOUT,
} from "./function-sizes.ts";
import { MEMORY_MIB_PER_CPU, MirrorFunction, type MirrorFunctionProps } from "./mirror-function.ts";
import {
  grantInvoke,
  grantPutEvents,
  grantReadMetrics,
  grantSecrets,
  grantSend,
  grantTakeDeadLetters,
} from "./service-access.ts";
import type { DeploymentSettings } from "./settings.ts";

export interface FunctionsProps {
  readonly bucket: MirrorBucket;
  readonly authSecret: Secret;
  readonly settings: DeploymentSettings;
  /** What infra/bundle.ts made. */
  readonly codeFolders: Readonly<Record<FunctionName, string>>;
  readonly queues: Readonly<Record<"sync" | "lfs" | "relay", Queue>>;
  /** Jobs that failed after all tries. */
  readonly deadLetterQueues: Readonly<Record<"sync" | "lfs" | "relay", Queue>>;
  /** The keys of tokens for the stream tier, if there is one. */
  readonly streamTierKeys?: Secret | undefined;
}

const ASK_PRIMARY: readonly FunctionName[] = [
  "authorizer",
  "gitHttp",
  "pages",
  "administer",
  "sync",
  "lfsSync",
  "reconcile",
];

/** Makes the functions in one scope. */
export class Functions {
  readonly #scope: Construct;
  readonly #props: FunctionsProps;
  /** Of functions that ask the primary. */
  readonly #vpc: IVpc | undefined;

  constructor(scope: Construct, props: FunctionsProps) {
    this.#scope = scope;
    this.#props = props;
    this.#vpc = props.settings.hasFixedEgress ? fixedEgress(scope) : undefined;
  }

  authorizer(): MirrorFunction {
    const authorizer = this.#function("Authorizer", "authorizer", {
      memoryMib: AUTHORIZER_MEMORY_MIB,
      timeout: AUTHORIZER_TIMEOUT,
      reservedConcurrency: this.#props.settings.concurrency.authorizer,
      environment: this.#authSecret(),
    });
    this.#grantDecideAccess(authorizer);
    return authorizer;
  }

  /** @param administer - Absent: there are no pages for administrators. */
  pages(administer: MirrorFunction | undefined): MirrorFunction {
    const { bucket, queues, settings } = this.#props;
    const pages = this.#function("Pages", "pages", {
      memoryMib: PAGES_MEMORY_MIB,
      timeout: PAGES_TIMEOUT,
      reservedConcurrency: settings.concurrency.pages,
      environment: {
        ...this.#authSecret(),
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.lfsQueueUrl]: queues.lfs.queueUrl,
        ...(administer !== undefined && { [ENV.administerFunction]: administer.lambda.functionName }),
      },
    });
    grantReadRepositories(bucket, pages.role);
    this.#grantDecideAccess(pages);
    if (administer === undefined) return pages;
    grantKeepAdminLog(bucket, pages.role);
    grantSend(pages, queues.sync);
    grantReadMetrics(pages);
    grantInvoke(pages, administer);
    return pages;
  }

  /** Apart from the pages' function, which all callers reach: what administrators change takes rights that it must not have. */
  administer(): MirrorFunction {
    const { bucket, queues, deadLetterQueues: dead } = this.#props;
    const administer = this.#function("Administer", "administer", {
      memoryMib: ADMINISTER_MEMORY_MIB,
      timeout: PAGES_TIMEOUT,
      environment: {
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.lfsQueueUrl]: queues.lfs.queueUrl,
        [ENV.relayQueueUrl]: queues.relay.queueUrl,
        [ENV.syncDeadLetterQueueUrl]: dead.sync.queueUrl,
        [ENV.lfsDeadLetterQueueUrl]: dead.lfs.queueUrl,
        [ENV.relayDeadLetterQueueUrl]: dead.relay.queueUrl,
      },
    });
    grantAdminister(bucket, administer.role);
    grantSend(administer, queues.sync, queues.lfs, queues.relay);
    grantTakeDeadLetters(administer, dead.sync, dead.lfs, dead.relay);
    this.#grantAccounts(administer);
    return administer;
  }

  /** Answers git-lfs as well: its batches are small, and a clone has this function warm by then. */
  gitHttp(): MirrorFunction {
    const { bucket, queues, settings, streamTierKeys } = this.#props;
    const gitHttp = this.#function("GitHttp", "gitHttp", {
      nodeOptions: SERVING_NODE_OPTIONS,
      memoryMib: MEMORY_MIB_PER_CPU,
      reservedConcurrency: settings.concurrency.gitHttp,
      environment: {
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.lfsQueueUrl]: queues.lfs.queueUrl,
        ...(settings.streamTier !== undefined &&
          streamTierKeys !== undefined && {
            [ENV.streamTierUrl]: settings.streamTier.url,
            [ENV.streamTierKeys]: deployedValue(streamTierKeys, settings.streamTier.keysVersion),
          }),
      },
    });
    grantReadRepositories(bucket, gitHttp.role);
    grantLinkLfsFiles(bucket, gitHttp.role);
    grantKeepAnswers(bucket, gitHttp.role);
    grantNoteRefusals(bucket, gitHttp.role);
    grantSend(gitHttp, queues.sync, queues.lfs);
    return gitHttp;
  }

  /** Apart from git's, so that requests that wait take neither its memory nor its concurrency. */
  status(): MirrorFunction {
    const { bucket, queues, settings } = this.#props;
    const status = this.#function("Status", "status", {
      memoryMib: STATUS_MEMORY_MIB,
      timeout: STATUS_TIMEOUT,
      reservedConcurrency: settings.concurrency.status,
      environment: { [ENV.syncQueueUrl]: queues.sync.queueUrl },
    });
    grantReadRepositories(bucket, status.role);
    grantSend(status, queues.sync);
    return status;
  }

  webhook(): MirrorFunction {
    const { bucket, queues, settings } = this.#props;
    const webhook = this.#function("Webhook", "webhook", {
      // A larger one starts faster.
      memoryMib: MEMORY_MIB_PER_CPU,
      timeout: WEBHOOK_TIMEOUT,
      reservedConcurrency: settings.concurrency.webhook,
      environment: {
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.webhookAddresses]: settings.webhookAddresses,
      },
    });
    grantPushMarker(bucket, webhook.role);
    grantSend(webhook, queues.sync);
    this.#grantSecrets(webhook, ["ssm:GetParameter"], WEBHOOK_SECRET_NAME);
    return webhook;
  }

  reconcile(mirrorUrl: string): MirrorFunction {
    const { bucket, queues, settings } = this.#props;
    const reconcile = this.#function("Reconcile", "reconcile", {
      memoryMib: MEMORY_MIB_PER_CPU,
      reservedConcurrency: settings.concurrency.reconcile,
      environment: {
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.mirrorUrl]: mirrorUrl,
      },
    });
    grantReconcile(bucket, reconcile.role);
    grantSend(reconcile, queues.sync);
    this.#grantAccounts(reconcile);
    this.#grantSecrets(reconcile, ["ssm:GetParameter", "ssm:PutParameter"], WEBHOOK_SECRET_NAME);
    return reconcile;
  }

  sync(): MirrorFunction {
    const { bucket, queues } = this.#props;
    const sync = this.#function("Sync", "sync", {
      memoryMib: 2 * MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: {
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.relayQueueUrl]: queues.relay.queueUrl,
        [ENV.lfsQueueUrl]: queues.lfs.queueUrl,
      },
    });
    grantReadWriteRepositories(bucket, sync.role);
    grantSend(sync, queues.sync, queues.relay, queues.lfs);
    this.#grantAccounts(sync);
    return sync;
  }

  lfsSync(): MirrorFunction {
    const { bucket, queues } = this.#props;
    const lfsSync = this.#function("LfsSync", "lfsSync", {
      nodeOptions: SERVING_NODE_OPTIONS,
      memoryMib: MEMORY_MIB_PER_CPU,
      temporaryStorage: Size.gibibytes(10),
      environment: { [ENV.lfsQueueUrl]: queues.lfs.queueUrl },
    });
    grantCopyLfsFiles(bucket, lfsSync.role);
    grantSend(lfsSync, queues.lfs);
    this.#grantAccounts(lfsSync);
    return lfsSync;
  }

  relay(mirrorUrl: string): MirrorFunction {
    const { bucket, queues } = this.#props;
    const relay = this.#function("Relay", "relay", {
      memoryMib: RELAY_MEMORY_MIB,
      timeout: RELAY_TIMEOUT,
      environment: {
        [ENV.relayQueueUrl]: queues.relay.queueUrl,
        [ENV.mirrorUrl]: mirrorUrl,
      },
    });
    grantReadConfig(bucket, relay.role);
    this.#grantSecrets(relay, ["ssm:GetParameter"], `${RELAY_SECRET_FOLDER}*`);
    grantPutEvents(relay);
    return relay;
  }

  #function(
    id: string,
    name: FunctionName,
    { environment, ...props }: Omit<MirrorFunctionProps, "codeFolder">,
  ): MirrorFunction {
    const { bucket, codeFolders, settings } = this.#props;
    return new MirrorFunction(this.#scope, id, {
      ...props,
      codeFolder: codeFolders[name],
      kmsKeyArn: settings.kmsKeyArn,
      ...(ASK_PRIMARY.includes(name) && { vpc: this.#vpc }),
      environment: { [ENV.bucket]: bucket.bucketName, ...settings.environment, ...environment },
    });
  }

  #authSecret(): Record<string, string> {
    const { authSecret, settings } = this.#props;
    return { [ENV.authSecret]: deployedValue(authSecret, settings.authSecretVersion) };
  }

  #grantDecideAccess(decider: MirrorFunction): void {
    grantDecideAccess(this.#props.bucket, decider.role);
    // To find out whether the primary is away.
    this.#grantAccounts(decider);
  }

  #grantSecrets(reader: MirrorFunction, actions: string[], name: string): void {
    grantSecrets(reader, actions, `${this.#props.settings.secretPath}${name}`);
  }

  /** The mirror's accounts at Bitbucket. */
  #grantAccounts(reader: MirrorFunction): void {
    this.#grantSecrets(reader, ["ssm:GetParameter"], `${ACCOUNT_SECRET_FOLDER}*`);
  }
}

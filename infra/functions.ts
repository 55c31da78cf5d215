/** The deployed functions: code, memory, time, environment, and the rights that each needs. */
import { ArnFormat, Duration, SecretValue, Size, Stack } from "aws-cdk-lib";
import type { IVpc } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
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
import { fixedEgress } from "./egress.ts";
import { MEMORY_MIB_PER_CPU, MirrorFunction, type MirrorFunctionProps } from "./mirror-function.ts";
import type { DeploymentSettings } from "./settings.ts";

/** It waits for the primary, mostly; more memory only makes it start sooner. */
const AUTHORIZER_MEMORY_MIB = 512;
/** API Gateway gives up on an authorizer after 29 s. */
const AUTHORIZER_TIMEOUT = Duration.seconds(29);

/** It waits for syncs, mostly. */
const STATUS_MEMORY_MIB = 256;
/** Of lib/git-http/status.ts, and some for a start and the answer. */
const STATUS_TIMEOUT = Duration.minutes(5);

/** A page waits for Bitbucket's list at most 10 s. */
const PAGES_MEMORY_MIB = 512;
const PAGES_TIMEOUT = Duration.seconds(29);

/** Bitbucket gives up after ten seconds. */
const WEBHOOK_TIMEOUT = Duration.seconds(9);

/** It waits for receivers, ten seconds at the most for each. */
const RELAY_MEMORY_MIB = 512;
const RELAY_TIMEOUT = Duration.minutes(1);

export interface FunctionsProps {
  readonly bucket: MirrorBucket;
  readonly authSecret: Secret;
  readonly settings: DeploymentSettings;
  /** What infra/bundle.ts made. */
  readonly codeFolders: Readonly<Record<FunctionName, string>>;
  readonly queues: Readonly<Record<"sync" | "lfs" | "relay", Queue>>;
  /** The keys of tokens for the stream tier, if there is one. */
  readonly streamTierKeys?: Secret | undefined;
}

const ASK_PRIMARY: readonly FunctionName[] = [
  "authorizer",
  "gitHttp",
  "pages",
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

  pages(): MirrorFunction {
    const { bucket, queues, settings } = this.#props;
    const pages = this.#function("Pages", "pages", {
      memoryMib: PAGES_MEMORY_MIB,
      timeout: PAGES_TIMEOUT,
      reservedConcurrency: settings.concurrency.pages,
      environment: {
        ...this.#authSecret(),
        [ENV.syncQueueUrl]: queues.sync.queueUrl,
        [ENV.lfsQueueUrl]: queues.lfs.queueUrl,
      },
    });
    grantReadRepositories(bucket, pages.role);
    this.#grantDecideAccess(pages);
    if (!settings.hasPageAdministration) return pages;
    grantKeepAdminLog(bucket, pages.role);
    grantSend(pages, queues.sync);
    // It knows no resources.
    const statement = { actions: ["cloudwatch:GetMetricData"], resources: ["*"] };
    pages.role.addToPrincipalPolicy(new PolicyStatement(statement));
    return pages;
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
    this.#grantSecrets(reconcile, ["ssm:GetParameter"], `${ACCOUNT_SECRET_FOLDER}*`);
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
    this.#grantSecrets(sync, ["ssm:GetParameter"], `${ACCOUNT_SECRET_FOLDER}*`);
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
    this.#grantSecrets(lfsSync, ["ssm:GetParameter"], `${ACCOUNT_SECRET_FOLDER}*`);
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
    const eventBus = { service: "events", resource: "event-bus", resourceName: "default" };
    relay.role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ["events:PutEvents"],
        resources: [Stack.of(this.#scope).formatArn(eventBus)],
        conditions: { StringEquals: { "events:source": EVENT_SOURCE } },
      }),
    );
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
    // The mirror's accounts, to find out whether the primary is away.
    this.#grantSecrets(decider, ["ssm:GetParameter"], `${ACCOUNT_SECRET_FOLDER}*`);
  }

  /** SecureStrings under AWS's own key: who may read the parameter through SSM may have it decrypted. */
  #grantSecrets({ role }: MirrorFunction, actions: string[], name: string): void {
    const arn = Stack.of(this.#scope).formatArn({
      service: "ssm",
      resource: "parameter",
      resourceName: `${this.#props.settings.secretPath.slice(1)}${name}`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
    role.addToPrincipalPolicy(new PolicyStatement({ actions, resources: [arn] }));
  }
}

/**
 * A dynamic reference: CloudFormation reads the secret when it deploys, so that a cold start asks for nothing. It reads it again only
 * if the reference has changed, which is what the version is for.
 */
function deployedValue({ secretArn }: Secret, versionId: string | undefined): string {
  return SecretValue.secretsManager(secretArn, versionId === undefined ? {} : { versionId }).unsafeUnwrap();
}

/** Sending alone: CDK's own grant has two more actions. */
function grantSend({ role }: MirrorFunction, ...queues: readonly Queue[]): void {
  const resources = queues.map(({ queueArn }) => queueArn);
  role.addToPrincipalPolicy(new PolicyStatement({ actions: ["sqs:SendMessage"], resources }));
}

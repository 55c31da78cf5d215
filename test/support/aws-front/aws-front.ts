/**
 * The whole deployment on this machine: the functions' bundles under AWS's runtime client, with settings, roles, queues and API as in the
 * synthesized templates, over the tests' own S3, SQS, SSM and EventBridge. It mirrors the workspace `acme`. Calls to these that a function's role does not permit are denied.
 */
import { join } from "node:path";
import type { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { bundleFunction, FUNCTION_SOURCES, type FunctionName } from "../../../infra/bundle.ts";
import { changeMirrorConfig } from "../../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../../lib/store/s3-client.ts";
import { deployment } from "../deployment.ts";
import { type SqsServer, startSqsServer } from "../queue/sqs-server.ts";
import { type S3Server, type S3ServerOptions, startS3Server } from "../s3-server/s3-server.ts";
import { ACCOUNT_TOKEN, MIRROR_SECRET } from "../test-credentials.ts";
import { apiOf } from "./api-definition.ts";
import { type ApiGateway, startApiGateway } from "./api-gateway.ts";
import { CallPolicies, jsonCallOf, s3CallOf } from "./call-policies.ts";
import { DeployedFunction, type FunctionCounts } from "./deployed-function.ts";
import { createDeployedQueues, type DeployedQueues, startEventSources } from "./deployed-queues.ts";
import { type EventBusServer, startEventBusServer } from "./event-bus-server.ts";
import { startJsonProxy } from "./json-proxy.ts";
import { startLambdaServer } from "./lambda-server.ts";
import { type MetricServer, startMetricServer } from "./metric-server.ts";
import { recordPermissions } from "./permission-records.ts";
import { type SecretServer, startSecretServer } from "./secret-server.ts";
import type { Pace } from "./stream-response.ts";
import { DeployedTemplate, functionName, functionsOf, REGION, type TemplateJson } from "./template.ts";

export interface AwsFrontOptions {
  readonly runtimeClient: string;
  /** Gets bundles and objects. */
  readonly folder: string;
  /** `nearside.config.json`. */
  readonly settings?: object;
  /** Sees each request to S3 first. @returns True if it has dealt with it. */
  readonly interceptS3?: NonNullable<S3ServerOptions["intercept"]>;
  /** Changes the template before it counts. */
  readonly change?: (service: TemplateJson) => TemplateJson;
  /** In each function's environment, over the template's. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether Lambda takes jobs from the queues. */
  readonly takesJobs?: boolean;
  readonly pace?: Pace;
  /** See `DeployedFunctionOptions`. */
  readonly maxEnvironments?: number;
  readonly maxExecuting?: number;
  readonly idleMs?: number;
}

export interface AwsFront extends AsyncDisposable {
  readonly api: ApiGateway;
  /** Of the API: with the stage, without a slash at its end. */
  readonly url: string;
  readonly s3Server: S3Server;
  /** Over its bucket. */
  readonly store: S3BlobStore;
  readonly sqs: SqsServer;
  readonly queues: DeployedQueues;
  readonly secrets: SecretServer;
  readonly metrics: MetricServer;
  readonly eventBus: EventBusServer;
  readonly policies: CallPolicies;
  readonly service: Stack;
  function(name: FunctionName): DeployedFunction;
  counts(): Partial<Record<FunctionName, FunctionCounts>>;
  /** What all functions wrote. */
  log(): string;
  close(): Promise<void>;
}

const BUCKET_NAME = "nearside";
const ACME = { workspace: "acme", projects: "all", credential: "bot" } as const;
const NO_SUCH_PACE: Pace = { burstBytes: Number.POSITIVE_INFINITY, bytesPerSecond: Number.POSITIVE_INFINITY };

export async function startAwsFront(options: AwsFrontOptions): Promise<AwsFront> {
  const { folder, runtimeClient, change = (service) => service } = options;
  const stacks = deployment(options.settings);
  const storage = Template.fromStack(stacks.storage).toJSON() as TemplateJson;
  const service = change(Template.fromStack(stacks.service).toJSON() as TemplateJson);
  const plain = new DeployedTemplate([service, storage]);
  const bucketId = plain.only("AWS::S3::Bucket").id;
  const policies = new CallPolicies(plain.with({ [bucketId]: BUCKET_NAME }));
  const s3Server = await startCheckedS3(join(folder, "s3"), policies, options.interceptS3);
  const store = new S3BlobStore({ client: createS3Client(s3Server), bucket: BUCKET_NAME });
  await changeMirrorConfig(store, () => mirrorConfigOf([ACME]));
  const accounts = { email: "bot@example.com", token: ACCOUNT_TOKEN };
  const secrets = await startSecretServer({
    "/nearside/accounts/bot": JSON.stringify(accounts),
    "/nearside/webhook-secret": MIRROR_SECRET,
  });
  const [sqs, eventBus, metrics] = await Promise.all([
    startSqsServer(),
    startEventBusServer(),
    startMetricServer(),
  ]);
  const checked = (target: string) =>
    startJsonProxy(target, (incoming, body) => {
      const call = jsonCallOf(incoming, body);
      return call === undefined || policies.check(call);
    });
  const proxies = await Promise.all(
    [sqs, secrets, eventBus, metrics].map(({ endpoint }) => checked(endpoint)),
  );
  const [sqsUrl = "", ssmUrl = "", eventsUrl = "", metricsUrl = ""] = proxies.map(({ url }) => url);
  const queues = await createDeployedQueues(plain, sqs);
  const queueNames = Object.fromEntries(
    Object.entries(queues.urls).map(([id, url]) => [id, sqsUrl + new URL(url).pathname]),
  );
  const template = plain.with({ [bucketId]: BUCKET_NAME, ...queueNames });
  const lambda = await startLambdaServer({ policies, functionOf: (id) => functionOf(functionName(id)) });
  const endpoints = {
    AWS_ENDPOINT_URL_S3: s3Server.endpoint,
    AWS_ENDPOINT_URL_SQS: sqsUrl,
    AWS_ENDPOINT_URL_SSM: ssmUrl,
    AWS_ENDPOINT_URL_EVENTBRIDGE: eventsUrl,
    AWS_ENDPOINT_URL_CLOUDWATCH: metricsUrl,
    AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint,
    AWS_REGION: s3Server.region,
    AWS_ACCESS_KEY_ID: s3Server.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3Server.credentials.secretAccessKey,
  };
  const functions = new Map<string, DeployedFunction>();
  const definitions = functionsOf(template);
  const functionOf = (name: string): DeployedFunction => {
    const definition = definitions.get(name);
    if (definition === undefined) throw new Error(`the template has no function ${name}`);
    const known = functions.get(name);
    if (known !== undefined) return known;
    const environment = {
      ...deployedValues(definition.environment, api.url),
      ...{ ...endpoints, AWS_SESSION_TOKEN: name },
      ...options.environment,
    };
    const made = new DeployedFunction({
      ...{ definition: { ...definition, environment }, code: once(() => bundled(name as FunctionName)) },
      ...(options.maxEnvironments !== undefined && { maxEnvironments: options.maxEnvironments }),
      ...(options.maxExecuting !== undefined && { maxExecuting: options.maxExecuting }),
      ...(options.idleMs !== undefined && { idleMs: options.idleMs }),
      ...retriesOf(template, definition.id),
    });
    functions.set(name, made);
    return made;
  };
  async function bundled(name: FunctionName) {
    const codeFolder = join(folder, "code", name);
    await bundleFunction(FUNCTION_SOURCES[name], codeFolder);
    return { runtimeClient, codeFolder };
  }
  const definition = apiOf(template);
  const api = await startApiGateway({
    definition: () => definition,
    functionOf,
    pace: options.pace ?? NO_SUCH_PACE,
  });
  const stopSources = options.takesJobs
    ? startEventSources(template, { sqs, queues, functionOf, policies })
    : undefined;
  async function close(): Promise<void> {
    await stopSources?.();
    recordPermissions(policies);
    await Promise.all([api.close(), ...[...functions.values()].map((one) => one.close())]);
    await Promise.all(
      [...proxies, s3Server, sqs, secrets, eventBus, metrics, lambda].map((server) => server.close()),
    );
  }
  return {
    ...{ api, s3Server, store, sqs, queues, secrets, eventBus, metrics, policies, close },
    url: api.url,
    service: stacks.service,
    function: functionOf,
    counts: () => Object.fromEntries([...functions].map(([name, { counts }]) => [name, counts])),
    log: () => [...functions.values()].map((one) => one.log()).join(""),
    [Symbol.asyncDispose]: close,
  };
}

async function startCheckedS3(
  folder: string,
  policies: CallPolicies,
  interceptFirst: AwsFrontOptions["interceptS3"],
): Promise<S3Server> {
  return startS3Server({
    folder,
    bucketName: BUCKET_NAME,
    intercept(request, response) {
      if (interceptFirst?.(request, response)) return true;
      const call = s3CallOf(request);
      if (call === undefined || policies.check(call)) return false;
      request.resume();
      response.writeHead(403, { "content-type": "application/xml" });
      response.end("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
      return true;
    },
  });
}

/** What CloudFormation puts in when it deploys. */
function deployedValues(
  environment: Readonly<Record<string, string>>,
  apiUrl: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      String(value)
        .replace(/^\{\{resolve:secretsmanager:[^}]+\}\}$/, MIRROR_SECRET)
        .replace(
          new RegExp(`^https://\\w+\\.execute-api\\.${REGION}\\.amazonaws\\.com/[^/]+/$`),
          `${apiUrl}/`,
        ),
    ]),
  );
}

function retriesOf(template: DeployedTemplate, functionId: string) {
  const config = template
    .resources("AWS::Lambda::EventInvokeConfig")
    .find(({ properties }) => properties["FunctionName"] === functionId);
  return config && { retries: { count: config.properties["MaximumRetryAttempts"], pauseMs: 1000 } };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

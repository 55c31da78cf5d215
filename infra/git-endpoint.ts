/**
 * The address that git talks to: a REST API whose responses are streamed from the git-http function, after an authorizer
 * has asked the primary whether the caller may read.
 */
import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import {
  AccessLogFormat,
  AuthorizationType,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
  MethodLoggingLevel,
  RequestAuthorizer,
  type Resource,
  ResponseTransferMode,
  ResponseType,
  RestApi,
} from "aws-cdk-lib/aws-apigateway";
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { type AddressRange, formatAddressRange } from "../lib/address-ranges.ts";
import { addDomain, addWaf, setDualStack } from "./api-extras.ts";
import { FUNCTION_TIMEOUT, type MirrorFunction } from "./mirror-function.ts";
import type { DeploymentSettings } from "./settings.ts";

export interface GitEndpointProps {
  readonly functions: Readonly<
    Record<"gitHttp" | "status" | "pages" | "webhook" | "authorizer", Pick<MirrorFunction, "lambda">>
  >;
  readonly settings: DeploymentSettings;
}

/** As in lib/git-http/access-decision.ts. In quotation marks, as API Gateway wants fixed texts. */
const CHALLENGE = `'Basic realm="Nearside mirror of Bitbucket"'`;

const STAGE = "git";

/** It waits for four minutes at most. */
const STATUS_TIMEOUT = Duration.minutes(5);

export class GitEndpoint extends Construct {
  readonly api: RestApi;
  /** One JSON object for each request, see `ACCESS_LOG`. */
  readonly accessLog: LogGroup;
  readonly #domainName: string | undefined;

  constructor(scope: Construct, id: string, props: GitEndpointProps) {
    super(scope, id);
    const { functions, settings } = props;
    const { allowedAddresses, setsApiLogRole, requestsPerSecond } = settings;
    this.accessLog = new LogGroup(this, "AccessLog", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.api = new RestApi(this, "Api", {
      // Metrics are by name, of all the APIs of an account and region.
      restApiName: Stack.of(this).stackName,
      description: "Git clone and fetch from the mirror",
      // An edge-optimized API cuts a stream that is idle for 30 s; a regional one for 5 min.
      endpointTypes: [EndpointType.REGIONAL],
      ...(allowedAddresses.length > 0 && { policy: onlyFrom(allowedAddresses) }),
      defaultIntegration: streamFrom(functions.gitHttp.lambda, FUNCTION_TIMEOUT),
      // On the API and not on one resource, so that no method can be without it.
      defaultMethodOptions: {
        authorizationType: AuthorizationType.CUSTOM,
        authorizer: new RequestAuthorizer(this, "Authorizer", {
          handler: functions.authorizer.lambda,
          // Nothing is cached here: a header to cache by would be demanded of all, and public repositories need none.
          identitySources: [],
          resultsCacheTtl: Duration.seconds(0),
        }),
      },
      // Request bodies of other types reach the function as text, which breaks git's gzip.
      binaryMediaTypes: ["application/x-git-upload-pack-request"],
      // Compression is left off (no minCompressionSize): packs are compressed already.
      cloudWatchRole: setsApiLogRole,
      // Other APIs of the account log with it by then.
      ...(setsApiLogRole && { cloudWatchRoleRemovalPolicy: RemovalPolicy.RETAIN }),
      deployOptions: {
        stageName: STAGE,
        accessLogDestination: new LogGroupLogDestination(this.accessLog),
        accessLogFormat: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
        throttlingRateLimit: requestsPerSecond,
        throttlingBurstLimit: 2 * requestsPerSecond,
        loggingLevel: MethodLoggingLevel.ERROR,
        // It would log bodies and the Authorization header.
        dataTraceEnabled: false,
      },
    });
    this.api.root.addProxy();
    const own = this.api.root.addResource("-");
    own
      .addResource("repositories")
      .addProxy({ defaultIntegration: streamFrom(functions.status.lambda, STATUS_TIMEOUT) });
    this.#servePages(own, functions.pages.lambda);
    this.#takeWebhooks(own, functions.webhook.lambda);
    this.#answerRefusals();
    this.#domainName = settings.domain?.name;
    if (settings.domain !== undefined) addDomain(this.api, settings.domain, settings);
    if (settings.ipAddressType === "dualstack") setDualStack(this.api);
    if (settings.wafRequestsPerFiveMinutes > 0) addWaf(this.api, settings.wafRequestsPerFiveMinutes);
  }

  /** With a slash at its end. */
  get url(): string {
    return this.#domainName === undefined ? this.api.url : `https://${this.#domainName}/`;
  }

  /** Open to all: they are for browsers, which have a session in place of git's header. */
  #servePages(own: Resource, pages: LambdaFunction): void {
    const integration = streamFrom(pages);
    const open = { authorizationType: AuthorizationType.NONE };
    this.api.root.addMethod("GET", integration, open);
    own.addResource("{proxy+}").addMethod("ANY", integration, open);
  }

  /** Open to all: the signature proves that Bitbucket sent a delivery, and the address where a range is set. */
  #takeWebhooks(own: Resource, webhook: LambdaFunction): void {
    const workspace = own.addResource("webhooks").addResource("{workspace}");
    workspace.addMethod("POST", streamFrom(webhook), { authorizationType: AuthorizationType.NONE });
  }

  #answerRefusals(): void {
    // What a function answers as WWW-Authenticate arrives under another name; what API Gateway itself answers does not.
    this.api.addGatewayResponse("Challenge", {
      type: ResponseType.UNAUTHORIZED,
      statusCode: "401",
      responseHeaders: { "WWW-Authenticate": CHALLENGE, "LFS-Authenticate": CHALLENGE },
      templates: {
        "text/plain": "log in with your Bitbucket credential\n",
        // By the `Accept` header.
        "application/vnd.git-lfs+json": '{"message":"log in with your Bitbucket credential"}',
      },
    });
    this.api.addGatewayResponse("WrongAddress", {
      type: ResponseType.ACCESS_DENIED,
      statusCode: "403",
      templates: { "text/plain": "this mirror does not serve your address\n" },
    });
    this.#answerFailures();
  }

  /** API Gateway's own answers are JSON without a time to try again. Where the kind of a failure is not changed, its metric counts on. */
  #answerFailures(): void {
    const retryAfter = { "Retry-After": `'${RETRY_AFTER_SECONDS}'` };
    // The authorizer fails, lasts too long, or there are too many of it: 500 would end a build.
    for (const type of [ResponseType.AUTHORIZER_FAILURE, ResponseType.AUTHORIZER_CONFIGURATION_ERROR]) {
      this.api.addGatewayResponse(type.responseType, {
        type,
        statusCode: "503",
        responseHeaders: retryAfter,
        templates: textTemplates("the mirror cannot decide about access just now"),
      });
    }
    // Of the stage; and of Lambda, when as many run of a function as are reserved. Without INTEGRATION_FAILURE the latter is 500.
    for (const type of [ResponseType.THROTTLED, ResponseType.INTEGRATION_FAILURE]) {
      this.api.addGatewayResponse(type.responseType, {
        type,
        statusCode: "429",
        responseHeaders: retryAfter,
        templates: textTemplates("too many requests to the mirror at once"),
      });
    }
    // A function that fails.
    this.api.addGatewayResponse("DEFAULT_5XX", {
      type: ResponseType.DEFAULT_5XX,
      responseHeaders: retryAfter,
      templates: textTemplates("the mirror fails just now"),
    });
  }
}

function streamFrom(lambda: LambdaFunction, timeout?: Duration): LambdaIntegration {
  return new LambdaIntegration(lambda, {
    responseTransferMode: ResponseTransferMode.STREAM,
    ...(timeout && { timeout }),
    allowTestInvoke: false,
  });
}

const RETRY_AFTER_SECONDS = 10;

/** By the `Accept` header. */
function textTemplates(text: string): Record<string, string> {
  const message = `${text}, try again in ${RETRY_AFTER_SECONDS} s`;
  return { "text/plain": `${message}\n`, "application/vnd.git-lfs+json": JSON.stringify({ message }) };
}

/** No header and no query: they hold credentials, and tokens that open something. Source: AWS, API Gateway, `$context` variables. */
const ACCESS_LOG = {
  requestId: "$context.requestId",
  time: "$context.requestTime",
  ip: "$context.identity.sourceIp",
  userAgent: "$context.identity.userAgent",
  method: "$context.httpMethod",
  path: "$context.path",
  resource: "$context.resourcePath",
  status: "$context.status",
  responseBytes: "$context.responseLength",
  latencyMs: "$context.responseLatency",
  integrationLatencyMs: "$context.integration.latency",
  integrationStatus: "$context.integration.status",
  authorizerLatencyMs: "$context.authorizer.latency",
  authorizerError: "$context.authorizer.error",
  errorType: "$context.error.responseType",
} as const;

/** As in lib/webhook/receive-webhook.ts. With the stage: `*` matches slashes too, and a path could contain the rest. */
const WEBHOOKS = `execute-api:/${STAGE}/POST/-/webhooks/*`;

/** Asked before the authorizer; a denial counts whatever that says. Bitbucket's webhooks come from its own addresses. */
function onlyFrom(ranges: readonly AddressRange[]): PolicyDocument {
  const everyMethod = {
    principals: [new AnyPrincipal()],
    actions: ["execute-api:Invoke"],
    resources: ["execute-api:/*"],
  };
  return new PolicyDocument({
    statements: [
      new PolicyStatement({ effect: Effect.ALLOW, ...everyMethod }),
      new PolicyStatement({
        effect: Effect.DENY,
        principals: everyMethod.principals,
        actions: everyMethod.actions,
        notResources: [WEBHOOKS],
        conditions: { NotIpAddress: { "aws:SourceIp": ranges.map(formatAddressRange) } },
      }),
    ],
  });
}

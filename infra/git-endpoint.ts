/**
 * The address that git talks to: a REST API whose responses are streamed from the git-http function, after an authorizer
 * has asked the primary whether the caller may read.
 */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import {
  AccessLogFormat,
  AuthorizationType,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
  MethodLoggingLevel,
  RequestAuthorizer,
  ResponseTransferMode,
  ResponseType,
  RestApi,
} from "aws-cdk-lib/aws-apigateway";
import { AnyPrincipal, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { type AddressRange, formatAddressRange } from "../lib/address-ranges.ts";
import { FUNCTION_TIMEOUT } from "./mirror-function.ts";

export interface GitEndpointProps {
  readonly gitHttp: LambdaFunction;
  readonly webhook: LambdaFunction;
  readonly authorizer: LambdaFunction;
  /** None: every address. */
  readonly allowedAddresses: readonly AddressRange[];
  /** Makes a role for API Gateway's logs and sets it for the whole account and region, in place of what is there. */
  readonly setsApiLogRole: boolean;
}

/** As in lib/git-http/access-decision.ts. In quotation marks, as API Gateway wants fixed texts. */
const CHALLENGE = `'Basic realm="Nearside mirror of Bitbucket"'`;

export class GitEndpoint extends Construct {
  readonly api: RestApi;

  constructor(scope: Construct, id: string, props: GitEndpointProps) {
    super(scope, id);
    const { gitHttp, webhook, authorizer, allowedAddresses, setsApiLogRole } = props;
    const accessLog = new LogGroup(this, "AccessLog", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.api = new RestApi(this, "Api", {
      description: "Git clone and fetch from the mirror",
      // An edge-optimized API cuts a stream that is idle for 30 s; a regional one for 5 min.
      endpointTypes: [EndpointType.REGIONAL],
      ...(allowedAddresses.length > 0 && { policy: onlyFrom(allowedAddresses) }),
      defaultIntegration: new LambdaIntegration(gitHttp, {
        responseTransferMode: ResponseTransferMode.STREAM,
        timeout: FUNCTION_TIMEOUT,
        allowTestInvoke: false,
      }),
      // On the API and not on one resource, so that no method can be without it.
      defaultMethodOptions: {
        authorizationType: AuthorizationType.CUSTOM,
        authorizer: new RequestAuthorizer(this, "Authorizer", {
          handler: authorizer,
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
        stageName: "git",
        accessLogDestination: new LogGroupLogDestination(accessLog),
        accessLogFormat: AccessLogFormat.jsonWithStandardFields(),
        loggingLevel: MethodLoggingLevel.ERROR,
        // It would log bodies and the Authorization header.
        dataTraceEnabled: false,
      },
    });
    this.api.root.addProxy();
    this.#takeWebhooks(webhook);
    this.#answerRefusals();
  }

  /** Open to all: the signature proves that Bitbucket sent a delivery, and the address where a range is set. */
  #takeWebhooks(webhook: LambdaFunction): void {
    const integration = new LambdaIntegration(webhook, {
      responseTransferMode: ResponseTransferMode.STREAM,
      allowTestInvoke: false,
    });
    const own = this.api.root.addResource("-");
    own.addResource("repositories").addProxy();
    const workspace = own.addResource("webhooks").addResource("{workspace}");
    workspace.addMethod("POST", integration, { authorizationType: AuthorizationType.NONE });
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

  /** Of the authorizer: it fails, lasts too long, or there are too many of it. API Gateway's own 500 would end a build. */
  #answerFailures(): void {
    for (const type of [ResponseType.AUTHORIZER_FAILURE, ResponseType.AUTHORIZER_CONFIGURATION_ERROR]) {
      this.api.addGatewayResponse(type.responseType, {
        type,
        statusCode: "503",
        responseHeaders: { "Retry-After": "'10'" },
        templates: { "text/plain": "the mirror cannot decide about access just now, try again in 10 s\n" },
      });
    }
  }
}

/** As in lib/webhook/receive-webhook.ts; of any stage. */
const WEBHOOKS = "execute-api:/*/POST/-/webhooks/*";

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

/** The address that git talks to: a REST API whose responses are streamed from the git-http function. */
import { RemovalPolicy } from "aws-cdk-lib";
import {
  AccessLogFormat,
  AuthorizationType,
  EndpointType,
  LambdaIntegration,
  LogGroupLogDestination,
  MethodLoggingLevel,
  ResponseTransferMode,
  RestApi,
} from "aws-cdk-lib/aws-apigateway";
import type { Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { FUNCTION_TIMEOUT } from "./mirror-function.ts";

/**
 * Who may call. `aws-callers`: whoever AWS lets invoke the API (IAM), which plain git cannot sign for.
 * `anyone`: the whole internet reads every mirrored repository.
 */
export type Access = "aws-callers" | "anyone";

export interface GitEndpointProps {
  readonly gitHttp: LambdaFunction;
  readonly access: Access;
  /** Makes a role for API Gateway's logs and sets it for the whole account and region, in place of what is there. */
  readonly setsApiLogRole: boolean;
}

export class GitEndpoint extends Construct {
  readonly api: RestApi;

  constructor(scope: Construct, id: string, { gitHttp, access, setsApiLogRole }: GitEndpointProps) {
    super(scope, id);
    const accessLog = new LogGroup(this, "AccessLog", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.api = new RestApi(this, "Api", {
      description: "Git clone and fetch from the mirror",
      // An edge-optimized API cuts a stream that is idle for 30 s; a regional one for 5 min.
      endpointTypes: [EndpointType.REGIONAL],
      defaultIntegration: new LambdaIntegration(gitHttp, {
        responseTransferMode: ResponseTransferMode.STREAM,
        timeout: FUNCTION_TIMEOUT,
        allowTestInvoke: false,
      }),
      // On the API and not on one resource, so that no method can be without it.
      defaultMethodOptions: {
        authorizationType: access === "anyone" ? AuthorizationType.NONE : AuthorizationType.IAM,
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
  }
}

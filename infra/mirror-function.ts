/** A Lambda function with the project's defaults, and a role that may do nothing but write its log. */
import { Duration, RemovalPolicy, type Size } from "aws-cdk-lib";
import { type IVpc, SubnetType } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Architecture, Code, Function as LambdaFunction, Runtime } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { grantNetwork } from "./egress.ts";

/** Lambda's longest. */
export const FUNCTION_TIMEOUT = Duration.minutes(15);

/** Lambda gives one processor for each 1,769 MB. */
export const MEMORY_MIB_PER_CPU = 1769;

export interface MirrorFunctionProps {
  /** What infra/bundle.ts made. */
  readonly codeFolder: string;
  readonly environment: Record<string, string>;
  readonly memoryMib: number;
  readonly nodeOptions?: string;
  readonly temporaryStorage?: Size;
  /** Default: {@link FUNCTION_TIMEOUT}. */
  readonly timeout?: Duration;
  /** In which it runs; none: Lambda's own. */
  readonly vpc?: IVpc | undefined;
  /** Of the bucket and the queues, if it is not AWS's own. */
  readonly kmsKeyArn?: string | undefined;
  /** Executions at a time, reserved in the account; 0 or none: shared with others. */
  readonly reservedConcurrency?: number;
}

export class MirrorFunction extends Construct {
  readonly lambda: LambdaFunction;
  readonly role: Role;
  readonly logGroup: LogGroup;
  readonly memoryGib: number;

  constructor(scope: Construct, id: string, props: MirrorFunctionProps) {
    super(scope, id);
    this.memoryGib = props.memoryMib / 1024;
    this.logGroup = new LogGroup(this, "Log", {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    // A role of our own: CDK's brings a managed policy that may write to every log group.
    this.role = new Role(this, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    this.logGroup.grantWrite(this.role);
    if (props.vpc !== undefined) grantNetwork(this.role);
    if (props.kmsKeyArn !== undefined)
      this.role.addToPrincipalPolicy(
        new PolicyStatement({
          actions: ["kms:Decrypt", "kms:GenerateDataKey"],
          resources: [props.kmsKeyArn],
        }),
      );
    this.lambda = new LambdaFunction(this, "Function", {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      code: Code.fromAsset(props.codeFolder, { exclude: ["*.map"] }),
      handler: "index.handler",
      role: this.role,
      logGroup: this.logGroup,
      timeout: props.timeout ?? FUNCTION_TIMEOUT,
      memorySize: props.memoryMib,
      environment: {
        ...props.environment,
        ...(props.nodeOptions !== undefined && { NODE_OPTIONS: props.nodeOptions }),
      },
      ...(props.vpc !== undefined && {
        vpc: props.vpc,
        vpcSubnets: { subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      }),
      ...(props.reservedConcurrency && { reservedConcurrentExecutions: props.reservedConcurrency }),
      ...(props.temporaryStorage !== undefined && { ephemeralStorageSize: props.temporaryStorage }),
    });
  }
}

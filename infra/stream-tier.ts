/**
 * The stream tier: containers behind a load balancer that serve what is larger than a function can send. Its keys sign the tokens with
 * which the git function redirects git here; see lib/git-http/tier-token.ts.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Duration, RemovalPolicy, TimeZone } from "aws-cdk-lib";
import { Schedule } from "aws-cdk-lib/aws-applicationautoscaling";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import {
  GatewayVpcEndpointAwsService,
  IpAddresses,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { Platform } from "aws-cdk-lib/aws-ecr-assets";
import {
  Cluster,
  ContainerImage,
  ContainerInsights,
  CpuArchitecture,
  Secret as EcsSecret,
  FargateService,
  FargateTaskDefinition,
  type ICluster,
  LogDriver,
  OperatingSystemFamily,
} from "aws-cdk-lib/aws-ecs";
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  type ApplicationTargetGroup,
  SslPolicy,
} from "aws-cdk-lib/aws-elasticloadbalancingv2";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { type ISecret, Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { formatAddressRange } from "../lib/address-ranges.ts";
import { ENV } from "../lib/config.ts";
import { grantKeepAnswers, grantReadRepositories, type MirrorBucket } from "./bucket-access.ts";
import { PROJECT_FOLDER } from "./bundle.ts";
import type { DeploymentSettings, StreamTierSettings } from "./settings.ts";

/** Of a task: two processors copy some hundred MB/s. */
const CPU_UNITS = 2048;
const MEMORY_MIB = 4096;
/** An answer that is made for several clients is kept in a file. */
const DISK_GIB = 30;

const PORT = 7880;
const VPC_CIDR = "10.174.0.0/24";
/** A long plan sends nothing meanwhile. */
const IDLE_TIMEOUT = Duration.minutes(5);
/** For requests that run when a task is to stop: Fargate's longest. */
const STOP_TIMEOUT = Duration.minutes(2);

/** By which the servers' lines carry metrics. */
const LOG_VARIABLES = [ENV.logLevel, ENV.stackPrefix, ENV.metrics];

export interface StreamTierProps {
  readonly bucket: MirrorBucket;
  readonly syncQueue: Queue;
  readonly settings: DeploymentSettings;
  readonly tier: StreamTierSettings;
}

export class StreamTier extends Construct {
  /** Of tokens, separated by commas: the first signs, each is accepted. */
  readonly keys: Secret;
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly targets: ApplicationTargetGroup;
  /** Without a schedule. */
  readonly runsAlways: boolean;

  constructor(scope: Construct, id: string, props: StreamTierProps) {
    super(scope, id);
    this.runsAlways = props.tier.schedule === "always";
    this.keys = new Secret(this, "Keys", {
      description: "Signs the tokens with which git is redirected to the stream tier",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
    // Tasks have public addresses, by which they reach AWS's services: a NAT gateway would cost more than they do.
    const vpc = new Vpc(this, "Vpc", {
      ipAddresses: IpAddresses.cidr(VPC_CIDR),
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: "Public", subnetType: SubnetType.PUBLIC }],
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
      // CDK does it by a function with wide rights. Nothing here uses that group.
      restrictDefaultSecurityGroup: false,
      // Its types are not made for exactOptionalPropertyTypes; so below.
    }) as IVpc;
    const balancerGroup = new SecurityGroup(this, "BalancerGroup", { vpc, allowAllOutbound: false });
    const taskGroup = new SecurityGroup(this, "TaskGroup", { vpc });
    // The servers check the allow list: the git function, whose address is any of AWS's, asks for their health.
    balancerGroup.addIngressRule(Peer.anyIpv4(), Port.tcp(443), "git clients");
    balancerGroup.addEgressRule(taskGroup, Port.tcp(PORT), "the tasks");
    taskGroup.addIngressRule(balancerGroup, Port.tcp(PORT), "the load balancer");
    const service = new FargateService(this, "Service", {
      cluster: new Cluster(this, "Cluster", {
        vpc,
        containerInsightsV2: ContainerInsights.DISABLED,
      }) as ICluster,
      taskDefinition: this.#taskDefinition(props),
      assignPublicIp: true,
      vpcSubnets: { subnetType: SubnetType.PUBLIC },
      securityGroups: [taskGroup],
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      // A schedule changes it, and a deploy must not; without a number CloudFormation begins with one.
      ...(props.tier.schedule === "always" && { desiredCount: props.tier.tasks }),
    });
    this.loadBalancer = new ApplicationLoadBalancer(this, "Balancer", {
      vpc,
      internetFacing: true,
      securityGroup: balancerGroup,
      idleTimeout: IDLE_TIMEOUT,
      dropInvalidHeaderFields: true,
    });
    this.targets = this.loadBalancer
      .addListener("Https", {
        port: 443,
        protocol: ApplicationProtocol.HTTPS,
        certificates: [Certificate.fromCertificateArn(this, "Certificate", props.tier.certificate)],
        sslPolicy: SslPolicy.RECOMMENDED_TLS,
        open: false,
      })
      .addTargets("Tasks", {
        port: PORT,
        protocol: ApplicationProtocol.HTTP,
        targets: [service],
        deregistrationDelay: STOP_TIMEOUT,
        healthCheck: { path: "/-/health", interval: Duration.seconds(10), healthyThresholdCount: 2 },
      });
    runOnSchedule(service, props.tier);
  }

  #taskDefinition({ bucket, syncQueue, settings, tier }: StreamTierProps): FargateTaskDefinition {
    const tasks = new ServicePrincipal("ecs-tasks.amazonaws.com");
    const taskRole = new Role(this, "TaskRole", { assumedBy: tasks });
    grantReadRepositories(bucket, taskRole);
    grantKeepAnswers(bucket, taskRole);
    taskRole.addToPrincipalPolicy(
      new PolicyStatement({ actions: ["sqs:SendMessage"], resources: [syncQueue.queueArn] }),
    );
    const definition = new FargateTaskDefinition(this, "Task", {
      cpu: CPU_UNITS,
      memoryLimitMiB: MEMORY_MIB,
      ephemeralStorageGiB: DISK_GIB,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.ARM64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole,
      volumes: [{ name: "tmp" }],
    });
    const container = definition.addContainer("Server", {
      image: imageOf(tier),
      command: commandOf(bucket, settings),
      environment: {
        [ENV.syncQueueUrl]: syncQueue.queueUrl,
        ...Object.fromEntries(LOG_VARIABLES.map((name) => [name, settings.environment[name] ?? ""])),
      },
      secrets: { [ENV.streamTierKeys]: this.#keysSecret(tier) },
      logging: LogDriver.awsLogs({
        streamPrefix: "tier",
        logGroup: new LogGroup(this, "Log", {
          retention: RetentionDays.ONE_MONTH,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      }),
      portMappings: [{ containerPort: PORT }],
      readonlyRootFilesystem: true,
      stopTimeout: STOP_TIMEOUT,
    });
    container.addMountPoints({ sourceVolume: "tmp", containerPath: "/tmp", readOnly: false });
    return definition;
  }

  /** A running task keeps the value that it started with; another version makes another task definition. */
  #keysSecret({ keysVersion }: StreamTierSettings): EcsSecret {
    const keys = this.keys as ISecret;
    return keysVersion === undefined
      ? EcsSecret.fromSecretsManager(keys)
      : EcsSecret.fromSecretsManagerVersion(keys, { versionId: keysVersion });
  }
}

function imageOf({ image }: StreamTierSettings): ContainerImage {
  if (image !== undefined) return ContainerImage.fromRegistry(image);
  if (!existsSync(join(PROJECT_FOLDER, "Dockerfile")))
    throw new Error("streamTierImage must name an image: there is no Dockerfile to build it from here");
  return ContainerImage.fromAsset(PROJECT_FOLDER, { platform: Platform.LINUX_ARM64 });
}

function commandOf(bucket: MirrorBucket, { environment, allowedAddresses }: DeploymentSettings): string[] {
  const options = {
    "--host": "0.0.0.0",
    "--port": String(PORT),
    "--store": `s3://${bucket.bucketName}`,
    "--git-url": environment[ENV.gitUrl] ?? "",
    "--wait-seconds": environment[ENV.waitSeconds] ?? "",
    "--trusted-proxy": VPC_CIDR,
  };
  const ranges = allowedAddresses.flatMap((range) => ["--allow-address", formatAddressRange(range)]);
  return ["serve", "--tier", ...Object.entries(options).flat(), ...ranges];
}

function runOnSchedule(service: FargateService, { schedule, tasks }: StreamTierSettings): void {
  if (schedule === "always") return;
  const { days, from, to, timeZone } = schedule;
  // Until the schedule changes it, the limit ends the task that CloudFormation starts.
  const scaling = service.autoScaleTaskCount({ minCapacity: 0, maxCapacity: 0 });
  const isOpen = (minutes: number) => minutes >= minutesOf(from) && minutes < minutesOf(to);
  // Each hour again: a deploy that changes the schedule or the number of tasks sets the limit anew.
  const at = (weekDay: string, minute: string, isAt: (minutes: number) => boolean) => {
    const hours = Array.from({ length: 24 }, (_, hour) => hour).filter((hour) =>
      isAt(hour * 60 + Number(minute)),
    );
    return {
      schedule: Schedule.cron({ weekDay, minute, hour: hours.join(",") }),
      timeZone: TimeZone.of(timeZone),
    };
  };
  const running = { minCapacity: tasks, maxCapacity: tasks };
  scaling.scaleOnSchedule("Start", { ...at(days, from.minute, isOpen), ...running });
  scaling.scaleOnSchedule("Stop", {
    ...at("*", to.minute, (minutes) => !isOpen(minutes)),
    minCapacity: 0,
    maxCapacity: 0,
  });
}

function minutesOf({ hour, minute }: { readonly hour: string; readonly minute: string }): number {
  return Number(hour) * 60 + Number(minute);
}

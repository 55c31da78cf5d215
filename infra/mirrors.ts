/** The stacks of a deployment: a mirror for each region, each by itself. */
import {
  type App,
  CfnParameter,
  DefaultStackSynthesizer,
  type IStackSynthesizer,
  type StackProps,
  Tags,
} from "aws-cdk-lib";
import { ManagedPolicy, PermissionsBoundary } from "aws-cdk-lib/aws-iam";
import type { FunctionName } from "./bundle.ts";
import { ServiceStack } from "./service-stack.ts";
import type { DeploymentSettings } from "./settings.ts";
import { StorageStack } from "./storage-stack.ts";

export interface Mirror {
  readonly storage: StorageStack;
  readonly service: ServiceStack;
}

export function addMirrors(
  app: App,
  settings: DeploymentSettings,
  codeFolders: Readonly<Record<FunctionName, string>>,
): Mirror[] {
  const { regions } = settings;
  if (regions.length === 0) return [addMirror(app, settings, codeFolders, undefined)];
  return regions.map((region) => addMirror(app, settings, codeFolders, region));
}

/** Templates are made all the same. A parameter without a value is refused by `cdk deploy` and by CloudFormation, before anything changes. */
export function refuseDeployment(mirrors: readonly Mirror[], reason: string): void {
  for (const stack of mirrors.flatMap(({ storage, service }) => [storage, service]))
    new CfnParameter(stack, "SettingsFileIsMissing", { type: "String", description: reason });
}

function addMirror(
  app: App,
  settings: DeploymentSettings,
  codeFolders: Readonly<Record<FunctionName, string>>,
  region: string | undefined,
): Mirror {
  const { stackPrefix, bootstrapQualifier, tags } = settings;
  // Ids in one app must differ, and ids of resources are made from them: those of the first region stay when others are added.
  const isFirst = region === undefined || region === settings.regions[0];
  const id = (name: string) => [stackPrefix, ...(isFirst ? [] : [region]), name].join("-");
  const propsOf = (name: string): StackProps => ({
    stackName: `${stackPrefix}-${name}`,
    tags,
    ...(region !== undefined && { env: { region } }),
    ...(bootstrapQualifier !== undefined && {
      synthesizer: new DefaultStackSynthesizer({ qualifier: bootstrapQualifier }) as IStackSynthesizer,
    }),
  });
  const storage = new StorageStack(app, id("Storage"), {
    ...propsOf("Storage"),
    settings,
  });
  const service = new ServiceStack(app, id("Service"), {
    ...propsOf("Service"),
    bucket: storage.bucket,
    authSecret: storage.authSecret,
    settings,
    codeFolders,
  });
  for (const stack of [storage, service]) {
    for (const [key, value] of Object.entries(tags)) Tags.of(stack).add(key, value);
    if (settings.permissionsBoundary !== undefined)
      PermissionsBoundary.of(stack).apply(
        ManagedPolicy.fromManagedPolicyName(stack, "Boundary", settings.permissionsBoundary),
      );
  }
  return { storage, service };
}

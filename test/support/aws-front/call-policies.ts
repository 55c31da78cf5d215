/**
 * The calls that functions make to AWS, by the function that makes them, against what its role may do. Each function's session token is
 * its name, so a call says who makes it.
 */
import type { IncomingMessage } from "node:http";
import { basename } from "node:path";
import { ACCOUNT, type DeployedTemplate, functionsOf, REGION } from "./template.ts";

export interface AwsCall {
  readonly function: string;
  readonly action: string;
  /** ARN. */
  readonly resource: string;
}

interface Permission {
  readonly action: string;
  readonly resource: string;
  isUsed: boolean;
}

export class CallPolicies {
  /** Each once. */
  readonly denied: AwsCall[] = [];
  readonly #permissions: ReadonlyMap<string, readonly Permission[]>;

  constructor(template: DeployedTemplate) {
    const policies = template.resources("AWS::IAM::Policy");
    this.#permissions = new Map(
      [...functionsOf(template)].map(([name, { roleId }]) => [
        name,
        policies
          .filter(({ properties }) => properties["Roles"].includes(roleId))
          .flatMap(({ properties }) => properties["PolicyDocument"].Statement.flatMap(permissionsOf)),
      ]),
    );
  }

  /** @returns Whether the function's role may do it. Calls of the test itself are not checked. */
  check(call: AwsCall): boolean {
    const permissions = this.#permissions.get(call.function);
    if (permissions === undefined) return true;
    const matching = permissions.filter(
      ({ action, resource }) => action === call.action && matches(resource, call.resource),
    );
    for (const permission of matching) permission.isUsed = true;
    if (matching.length > 0) return true;
    const isNew = this.denied.every((denied) => JSON.stringify(denied) !== JSON.stringify(call));
    if (isNew) this.denied.push(call);
    return false;
  }

  /** `function action resource`, the last without what all of them begin with. */
  unused(): string[] {
    return this.#named(false);
  }

  /** As {@link unused}. */
  used(): string[] {
    return this.#named(true);
  }

  #named(used: boolean): string[] {
    return [...this.#permissions].flatMap(([name, permissions]) =>
      permissions
        .filter(({ isUsed }) => isUsed === used)
        .map(({ action, resource }) => `${name} ${action} ${resource.split(":").slice(5).join(":")}`),
    );
  }
}

function permissionsOf(statement: {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string | string[];
}): Permission[] {
  if (statement.Effect !== "Allow") throw new Error(`not understood: ${statement.Effect}`);
  return [statement.Action]
    .flat()
    .flatMap((action) =>
      [statement.Resource].flat().map((resource) => ({ action, resource, isUsed: false })),
    );
}

function matches(pattern: string, resource: string): boolean {
  const parts = pattern.split("*").map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(resource);
}

/** @returns `undefined` for one that is not signed with a function's token. */
export function s3CallOf(request: IncomingMessage): AwsCall | undefined {
  const url = new URL(request.url ?? "/", "http://s3");
  const caller = request.headers["x-amz-security-token"] ?? url.searchParams.get("X-Amz-Security-Token");
  if (typeof caller !== "string") return undefined;
  const path = decodeURIComponent(url.pathname).slice(1);
  const isBucket = !path.includes("/") || path.endsWith("/");
  const action = `s3:${isBucket ? bucketAction(url) : objectAction(request.method ?? "", url)}`;
  return { function: caller, action, resource: `arn:aws:s3:::${isBucket ? path.replace("/", "") : path}` };
}

function bucketAction({ searchParams }: URL): string {
  if (searchParams.has("uploads")) return "ListBucketMultipartUploads";
  return searchParams.has("versions") ? "ListBucketVersions" : "ListBucket";
}

function objectAction(method: string, { searchParams }: URL): string {
  if (method === "GET" || method === "HEAD") return "GetObject";
  if (method !== "DELETE") return "PutObject";
  if (searchParams.has("uploadId")) return "AbortMultipartUpload";
  return searchParams.has("versionId") ? "DeleteObjectVersion" : "DeleteObject";
}

/** Of a service whose requests name their operation in a header: `AmazonSSM.GetParameter`. */
export function jsonCallOf({ headers }: IncomingMessage, body: unknown): AwsCall | undefined {
  const [service = "", operation = ""] = String(headers["x-amz-target"]).split(".");
  const caller = headers["x-amz-security-token"];
  if (typeof caller !== "string") return undefined;
  const { Name, QueueUrl } = body as { Name?: string; QueueUrl?: string };
  const call = (prefix: string, resource: string): AwsCall => ({
    function: caller,
    action: `${prefix}:${operation.replace(/(Message|MessageVisibility)Batch$/, "$1")}`,
    resource: `arn:aws:${prefix}:${REGION}:${ACCOUNT}:${resource}`,
  });
  if (service === "AmazonSSM") return call("ssm", `parameter${Name}`);
  if (service === "AmazonSQS") return call("sqs", basename(new URL(QueueUrl ?? "").pathname, ".fifo"));
  if (service.startsWith("GraniteService")) return { ...call("cloudwatch", ""), resource: "*" };
  return call("events", "event-bus/default");
}

/** What AWS says about the account that a deployment goes to, by signed requests: five operations of four services. */
import { SSMClient } from "@aws-sdk/client-ssm";
import { AwsClient } from "aws4fetch";
import { ConfigError } from "../../../lib/errors.ts";

/** A signed request to a service of the account's region. @returns The answer's text. @throws {Error} AWS refuses, with its own words. */
export type AwsSend = (service: string, path: string, init?: RequestInit) => Promise<string>;

/** Of a service: what it answers, read from JSON or as text. @throws {Error} AWS refuses, with its own words. */
export interface AwsAccount {
  readonly region: string;
  readonly send: AwsSend;
  /** Source: docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html. */
  concurrency(): Promise<{ readonly limit: number; readonly unreserved: number }>;
  /** Source: docs.aws.amazon.com/apigateway/latest/api/API_GetAccount.html. */
  apiGateway(): Promise<{ readonly requestsPerSecond: number; readonly logRole: string | undefined }>;
  /** @returns `undefined` if there is no such parameter. */
  parameter(name: string): Promise<string | undefined>;
  /** ARN of the caller: a user, or the role that was assumed. */
  caller(): Promise<{ readonly account: string; readonly arn: string }>;
  /** @returns Those of the actions that the caller may not do. Source: IAM, SimulatePrincipalPolicy. */
  deniedActions(principalArn: string, actions: readonly string[], resource: string): Promise<string[]>;
}

/**
 * @param endpoint - In place of AWS's own addresses: a test's server.
 * @param inRegion - In place of that of the environment.
 */
export async function awsAccount(endpoint: string | undefined, inRegion?: string): Promise<AwsAccount> {
  const { config } = new SSMClient(inRegion === undefined ? {} : { region: inRegion });
  const region = await config.region().catch((error: unknown) => {
    throw new ConfigError(
      "no AWS region is set: set AWS_REGION, or deployment.regions in the settings file",
      {
        cause: error,
      },
    );
  });
  const { accessKeyId, secretAccessKey, sessionToken } = await config.credentials();
  const client = new AwsClient({
    ...{ accessKeyId, secretAccessKey, retries: 2 },
    ...(sessionToken !== undefined && { sessionToken }),
  });
  async function send(service: string, path: string, init: RequestInit = {}): Promise<string> {
    // IAM is one for all regions, and signed as that of us-east-1.
    const isGlobal = service === "iam";
    const host = isGlobal ? "iam.amazonaws.com" : `${service}.${region}.amazonaws.com`;
    const response = await client.fetch(`${endpoint ?? `https://${host}`}${path}`, {
      ...init,
      aws: { service, region: isGlobal ? "us-east-1" : region },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${service} answers ${response.status}: ${text.slice(0, 300)}`);
    return text;
  }
  const query = (service: string, parameters: Readonly<Record<string, string>>) =>
    send(service, "/", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(parameters).toString(),
    });
  return {
    ...{ region, send },
    async concurrency() {
      const { AccountLimit } = JSON.parse(await send("lambda", "/2016-08-19/account-settings/"));
      return {
        limit: AccountLimit.ConcurrentExecutions,
        unreserved: AccountLimit.UnreservedConcurrentExecutions,
      };
    },
    async apiGateway() {
      const account = JSON.parse(
        await send("apigateway", "/account", { headers: { accept: "application/json" } }),
      );
      return { requestsPerSecond: account.throttleSettings?.rateLimit, logRole: account.cloudwatchRoleArn };
    },
    async parameter(name) {
      try {
        const answer = await send("ssm", "/", {
          method: "POST",
          headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": "AmazonSSM.GetParameter" },
          body: JSON.stringify({ Name: name }),
        });
        return JSON.parse(answer).Parameter?.Value;
      } catch (error) {
        if (error instanceof Error && error.message.includes("ParameterNotFound")) return undefined;
        throw error;
      }
    },
    async caller() {
      const xml = await query("sts", { Action: "GetCallerIdentity", Version: "2011-06-15" });
      return { account: elementOf(xml, "Account"), arn: elementOf(xml, "Arn") };
    },
    async deniedActions(principalArn, actions, resource) {
      const xml = await query("iam", {
        ...{ Action: "SimulatePrincipalPolicy", Version: "2010-05-08", PolicySourceArn: principalArn },
        ...Object.fromEntries(actions.map((action, index) => [`ActionNames.member.${index + 1}`, action])),
        "ResourceArns.member.1": resource,
      });
      const results = [...xml.matchAll(/<EvalActionName>([^<]+)<[\s\S]*?<EvalDecision>([^<]+)</g)];
      if (results.length < actions.length) throw new Error("IAM did not judge every action");
      return results.filter(([, , decision]) => decision !== "allowed").map(([, action = ""]) => action);
    },
  };
}

function elementOf(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1];
  if (text === undefined) throw new Error(`AWS answers without ${name}`);
  return text;
}

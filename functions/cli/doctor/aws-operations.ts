/** Requests to AWS in the forms of its services, and what their XML answers hold. */
import type { AwsSend } from "./aws-account.ts";

/** The forms in which AWS's services take requests. */
export function awsOperations(send: AwsSend) {
  const json = async (service: string, path: string, init?: RequestInit) => {
    const text = await send(service, path, init);
    return text === "" ? {} : JSON.parse(text);
  };
  const withBody = (method: string, body: object, type: string, headers = {}): RequestInit => ({
    ...{ method, body: JSON.stringify(body), headers: { "content-type": type, ...headers } },
  });
  return {
    json,
    putJson: (service: string, path: string, body: object) =>
      json(service, path, withBody("PUT", body, "application/json")),
    ecs(operation: string, body: object) {
      const target = `AmazonEC2ContainerServiceV20141113.${operation}`;
      return json(
        "ecs",
        "/",
        withBody("POST", body, "application/x-amz-json-1.1", { "x-amz-target": target }),
      );
    },
    query: (service: string, Action: string, Version: string, parameters: Readonly<Record<string, string>>) =>
      send(service, "/", {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ Action, Version, ...parameters }).toString(),
      }),
  };
}

/** @returns AWS's name or ARN of a resource; `undefined` if the stack has none. Source: CloudFormation, ListStackResources. */
export async function findResource(
  query: ReturnType<typeof awsOperations>["query"],
  StackName: string,
  type: string,
  id: string,
): Promise<string | undefined> {
  let token: string | undefined;
  do {
    const parameters = { StackName, ...(token !== undefined && { NextToken: token }) };
    const xml = await query("cloudformation", "ListStackResources", "2010-05-15", parameters);
    for (const member of xml.split("</member>")) {
      const isWanted = elementOf(member, "LogicalResourceId")?.slice(0, -8) === id;
      if (isWanted && elementOf(member, "ResourceType") === type)
        return elementOf(member, "PhysicalResourceId");
    }
    token = elementOf(xml, "NextToken");
  } while (token !== undefined);
  return undefined;
}

/** @returns `undefined` if the stack has none. Source: CloudFormation, DescribeStacks. */
export async function findOutput(
  query: ReturnType<typeof awsOperations>["query"],
  StackName: string,
  key: string,
): Promise<string | undefined> {
  const xml = await query("cloudformation", "DescribeStacks", "2010-05-15", { StackName });
  const output = xml.split("</member>").find((member) => elementsOf(member, "OutputKey").includes(key));
  return output === undefined ? undefined : elementOf(output, "OutputValue");
}

function elementOf(xml: string, name: string): string | undefined {
  return elementsOf(xml, name)[0];
}

/** @returns The texts of all elements of this name that hold no others. */
export function elementsOf(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]+)</${name}>`, "g"))].map(([, text = ""]) => text);
}

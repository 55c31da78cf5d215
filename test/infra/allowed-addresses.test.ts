/** The API's allow list, and what is exempt from it. */
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { routeOf } from "../../lib/git-http/route.ts";
import { deployment } from "../support/deployment.ts";
import { requestFor } from "../support/http-request.ts";

test("serves the addresses of the allow list only, if there is one", () => {
  const policyOf = (file: object) =>
    Object.values(
      Template.fromStack(deployment(file).service).findResources("AWS::ApiGateway::RestApi"),
    )[0]?.["Properties"].Policy;
  expect(policyOf({})).toBeUndefined();
  const { Statement } = policyOf({
    allowedAddresses: ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"],
  });
  expect(Statement).toContainEqual({
    Effect: "Deny",
    Principal: { AWS: "*" },
    Action: "execute-api:Invoke",
    NotResource: "execute-api:/git/POST/-/webhooks/*",
    Condition: {
      NotIpAddress: { "aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"] },
    },
  });
});

test.each([
  ["POST", "/-/webhooks/acme", true],
  ["POST", "/acme/vault.git/git-upload-pack", false],
  ["GET", "/acme/vault.git/info/refs", false],
  ["GET", "/acme/vault.git/info/lfs/POST/-/webhooks/x", false],
  ["POST", "/acme/vault.git/info/lfs/POST/-/webhooks/x", false],
  ["POST", "/POST/-/webhooks/git-upload-pack", false],
] as const)("%s %s is exempt from the allow list: %s", (method, path, isExempt) => {
  const { service } = deployment({ allowedAddresses: ["203.0.113.0/24"] });
  const template = Template.fromStack(service);
  const [api] = Object.values(template.findResources("AWS::ApiGateway::RestApi"));
  const [stage] = Object.values(template.findResources("AWS::ApiGateway::Stage"));
  const denial = api?.["Properties"].Policy.Statement.find(
    ({ Effect }: { Effect: string }) => Effect === "Deny",
  );
  const arn = `execute-api:/${stage?.["Properties"].StageName}/${method}${path}`;
  expect([denial.NotResource].flat().some((pattern: string) => matchesArn(pattern, arn))).toBe(isExempt);
});

test("no path that is exempt is one of a repository", () => {
  const tails = ["webhooks", "webhooks/x", "webhooks/x/y", "webhooks.git", "webhooks/upstream/x/y"];
  const services = ["git-upload-pack", "git-receive-pack", "info/lfs/objects/batch", "info/lfs/locks"];
  for (const path of tails.flatMap((tail) => services.map((service) => `/-/${tail}/${service}`))) {
    const headers = { "content-type": "application/x-git-upload-pack-request" };
    expect([path, routeOf(requestFor(path, { method: "POST", headers })).kind]).toEqual([path, "refused"]);
  }
});

/** Source: IAM, "Resource": `*` stands for any characters, slashes as well, and `?` for one. */
function matchesArn(pattern: string, arn: string): boolean {
  const literals = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${literals.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(arn);
}

/** The comparison of recorded calls with roles, both ways: what it is to find in the tests of the whole deployment. */
import { expect, test } from "vitest";
import { CallPolicies } from "../support/aws-front/call-policies.ts";
import { ACCOUNT, DeployedTemplate, REGION } from "../support/aws-front/template.ts";

const FUNCTION = "SyncFunctionABCDEF01";
const parameter = (name: string) => `arn:aws:ssm:${REGION}:${ACCOUNT}:parameter/${name}`;

function policiesWith(...actions: string[]): CallPolicies {
  const statement = { Effect: "Allow", Action: actions, Resource: parameter("nearside/*") };
  return new CallPolicies(
    new DeployedTemplate([
      {
        Resources: {
          [FUNCTION]: {
            Type: "AWS::Lambda::Function",
            Properties: { Role: `arn:aws:iam::${ACCOUNT}:role:SyncRole`, Environment: { Variables: {} } },
          },
          SyncPolicy: {
            Type: "AWS::IAM::Policy",
            Properties: { Roles: ["SyncRole"], PolicyDocument: { Statement: [statement] } },
          },
        },
      },
    ]),
  );
}

test("a call without a permission is denied and kept, once; so is one for another resource", () => {
  const policies = policiesWith("ssm:GetParameter");
  const call = (action: string, name: string) =>
    policies.check({ function: "sync", action, resource: parameter(name) });
  expect(call("ssm:GetParameter", "nearside/accounts/bot")).toBe(true);
  expect(call("ssm:PutParameter", "nearside/accounts/bot")).toBe(false);
  expect(call("ssm:PutParameter", "nearside/accounts/bot")).toBe(false);
  expect(call("ssm:GetParameter", "other/accounts/bot")).toBe(false);
  expect(policies.denied.map(({ action, resource }) => `${action} ${resource}`)).toEqual([
    `ssm:PutParameter ${parameter("nearside/accounts/bot")}`,
    `ssm:GetParameter ${parameter("other/accounts/bot")}`,
  ]);
});

test("a permission that no call has used is named", () => {
  const policies = policiesWith("ssm:GetParameter", "ssm:PutParameter");
  policies.check({ function: "sync", action: "ssm:GetParameter", resource: parameter("nearside/a") });
  expect(policies.unused()).toEqual(["sync ssm:PutParameter parameter/nearside/*"]);
  policies.check({ function: "sync", action: "ssm:PutParameter", resource: parameter("nearside/a") });
  expect(policies.unused()).toEqual([]);
});

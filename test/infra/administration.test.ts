/** The function that does what administrators ask for on the pages. */
import { Match, Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { deployment, permissions } from "../support/deployment.ts";

test("lets only the pages call the function for administrators, and that change what is mirrored and no more", () => {
  const { service } = deployment();
  expect(permissions(service, "Pages").filter((line) => line.startsWith("lambda:"))).toEqual([
    expect.stringMatching(/^lambda:InvokeFunction .*AdministerFunction/),
  ]);
  Template.fromStack(service).resourcePropertiesCountIs(
    "AWS::Lambda::Permission",
    { FunctionName: { "Fn::GetAtt": [Match.stringLikeRegexp("^Administer"), "Arn"] } },
    0,
  );
  const lines = permissions(service, "AdministerRole").filter((line) => !line.startsWith("logs:"));
  const of = (action: string) => lines.filter((line) => line.startsWith(`${action} `)).join();
  expect(
    of("s3:PutObject")
      .match(/"\/[^"]*"/g)
      ?.toSorted(),
  ).toEqual(['"/config.json"', '"/workspaces/*"']);
  expect(
    of("s3:GetObject")
      .match(/"\/[^"]*"/g)
      ?.toSorted(),
  ).toEqual(['"/config.json"', '"/config.last-valid.json"', '"/workspaces/*"']);
  for (const action of ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"])
    expect(
      of(action)
        .match(/\w+Queue\w*/g)
        ?.every((name) => name.includes("DeadLetter")),
    ).toBe(true);
  expect(of("ssm:GetParameter")).toContain(":parameter/nearside/accounts/*");
  expect([...new Set(lines.map((line) => line.split(" ")[0]))].toSorted()).toEqual([
    ...["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
    ...["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"],
    "ssm:GetParameter",
  ]);
  expect(permissions(deployment({ administration: "off" }).service, "AdministerRole")).toEqual([]);
});

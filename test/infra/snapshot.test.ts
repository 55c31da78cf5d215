/**
 * The templates of a deployment with every setting at its default, and of one with a stream tier, each property a line: what changes by
 * accident, as by another release of CDK, shows in the diff. `npx vitest run --project infra test/infra/snapshot.test.ts -u` writes them anew.
 */
import type { Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { expect, test } from "vitest";
import { deployment } from "../support/deployment.ts";

/** Text of pages for people, which has tests of its own. */
const NOT_SHOWN: Readonly<Record<string, string>> = {
  "AWS::CloudWatch::Dashboard": "DashboardBody",
  "AWS::Logs::QueryDefinition": "QueryString",
};

const TIER = {
  streamTier: "fargate",
  streamTierUrl: "https://bulk.mirror.example.com",
  streamTierCertificate: "arn:aws:acm:eu-west-1:111122223333:certificate/0000-1111",
  // An image that is built is hashed with all of its files.
  streamTierImage: "example.com/nearside:1",
};

/** @returns A line for each value, in order, without the hashes of ids and code. */
function linesOf(stack: Stack): string[] {
  const template = Template.fromStack(stack).toJSON() as Record<string, object>;
  const { Resources = {}, ...others } = template;
  const shown = Object.entries(Resources).map(([id, resource]) => {
    const { Type, Properties = {}, Metadata: _, ...rest } = resource;
    const { [NOT_SHOWN[Type] ?? ""]: __, ...properties } = Properties;
    return [id, { Type, ...rest, ...properties }] as const;
  });
  const lines = flattened({ ...Object.fromEntries(shown), ...others }, "");
  return lines.map(masked).toSorted();
}

function flattened(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [`${path} = ${JSON.stringify(value)}`];
  const entries = Object.entries(value);
  if (entries.length === 0) return [`${path} = ${Array.isArray(value) ? "[]" : "{}"}`];
  // Parts of a text, and references, are one value.
  if (entries.some(([name]) => name === "Ref" || name.startsWith("Fn::")))
    return [`${path} = ${JSON.stringify(value)}`];
  return entries.flatMap(([name, one]) => flattened(one, path === "" ? name : `${path}.${name}`));
}

function masked(line: string): string {
  return line
    .replace(/[0-9a-f]{64}|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/g, "<hash>")
    .replace(/(?<=[A-Za-z])[0-9A-F]{8}(?=[.":])/g, "<id>");
}

test.each([
  ["storage", {}],
  ["service", {}],
  ["stream-tier", { deployment: TIER }],
])("%s", async (name, settings) => {
  const { storage, service } = deployment(settings);
  const lines = linesOf(name === "storage" ? storage : service);
  const known = name === "stream-tier" ? new Set(linesOf(deployment().service)) : new Set<string>();
  // Of the one with a tier, what it adds or changes.
  const text = `${lines.filter((line) => !known.has(line)).join("\n")}\n`;
  await expect(text).toMatchFileSnapshot(`snapshots/${name}.txt`);
});

test("a hash of code, or of an id, is no difference", () => {
  expect(masked('Sync1234ABCD.Code.S3Key = "<x>"')).toBe('Sync<id>.Code.S3Key = "<x>"');
  expect(masked(`A.S3Key = "${"0a".repeat(32)}.zip"`)).toBe('A.S3Key = "<hash>.zip"');
});

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import * as z from "zod";
import { configJsonSchema } from "../../../lib/mirror/config-json-schema.ts";
import { EMPTY_CONFIG, parseMirrorConfig } from "../../../lib/mirror/mirror-config.ts";

const schema = z.fromJSONSchema(configJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);

/** @returns Whether it is valid, of which the schema and the mirror must say the same. */
function isValid(config: object): boolean {
  const bySchema = schema.safeParse(config).success;
  const parse = () => parseMirrorConfig(new TextEncoder().encode(JSON.stringify(config)));
  if (bySchema) expect(parse).not.toThrow();
  else expect(parse).toThrow();
  return bySchema;
}

const workspace = { workspace: "acme", projects: "all" };

test("the example of the documentation is valid", async () => {
  const text = await readFile(new URL("../../../docs/configure.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```json\n(.*?)```/gs)].map(([, json = ""]) => JSON.parse(json) as object);
  const examples = blocks.filter((block) => "workspaces" in block);
  expect(examples).toHaveLength(1);
  for (const example of examples) {
    expect(isValid(example)).toBe(true);
    expect(isValid({ $schema: "./config.schema.json", ...example })).toBe(true);
  }
});

test.each([
  ["a misspelt field of a workspace", { workspaces: [{ ...workspace, excludes: [] }] }],
  ["a misspelt field", { workspaces: [workspace], workspace: "b" }],
  ["no projects", { workspaces: [{ workspace: "acme" }] }],
  ["a name that is none", { workspaces: [{ ...workspace, workspace: "a/b" }] }],
  ["a pattern that is none", { workspaces: [{ ...workspace, include: ["a b"] }] }],
  ["days too many", { workspaces: [{ ...workspace, retentionDays: 4000 }] }],
  ["a date that is none", { workspaces: [{ ...workspace, removedAt: "tomorrow" }] }],
  ["no version", { formatVersion: undefined, workspaces: [] }],
  ["a webhook without a secret", { workspaces: [], relayWebhooks: [{ id: "a", url: "https://a.example" }] }],
])("%s is not", (_, config) => {
  expect(isValid({ ...EMPTY_CONFIG, ...config })).toBe(false);
});

test("each field has a description, and what has a default is not required", () => {
  const descriptions = (node: unknown): unknown[] =>
    typeof node !== "object" || node === null
      ? []
      : Object.entries(node).flatMap(([key, value]) =>
          key === "properties"
            ? Object.entries(value as Record<string, { description?: string }>).flatMap(([name, field]) => [
                `${name}: ${field.description === undefined ? "none" : "described"}`,
                ...descriptions(field),
              ])
            : descriptions(value),
        );
  const found = descriptions(configJsonSchema());
  expect(found.length).toBeGreaterThan(15);
  expect(found.filter((line) => String(line).endsWith(": none"))).toEqual([]);
  expect(isValid({ ...EMPTY_CONFIG, workspaces: [workspace] })).toBe(true);
});

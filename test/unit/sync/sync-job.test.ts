import { expect, test } from "vitest";
import { ProtocolError } from "../../../lib/errors.ts";
import { parseSyncJob } from "../../../lib/sync/sync-job.ts";

const UUID = "0f0e0d0c-0b0a-4908-8706-050403020100";

test.each([
  { workspace: "acme", slug: "app.js" },
  { workspace: "acme", slug: "app", uuid: UUID },
])("%j is a job", (job) => {
  expect(parseSyncJob(JSON.stringify(job))).toEqual(job);
});

test("fields that a newer sender adds are ignored", () => {
  const text = JSON.stringify({ workspace: "acme", slug: "app", reason: "push" });
  expect(parseSyncJob(text)).toEqual({ workspace: "acme", slug: "app" });
});

test.each([
  "",
  "null",
  '"acme/app"',
  '{"workspace":"acme"}',
  '{"workspace":"acme","slug":"../other"}',
  '{"workspace":"..","slug":"app"}',
  '{"workspace":"acme","slug":"app","uuid":"{x}/../y"}',
])("%s is no job", (text) => {
  expect(() => parseSyncJob(text)).toThrow(ProtocolError);
});

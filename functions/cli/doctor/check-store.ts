/** Whether the store can be used as the mirror does: on a key of its own, which is removed again. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { ConfigError, insteadOf, NotFoundError, VersionConflictError } from "../../../lib/errors.ts";
import type { BlobStore } from "../../../lib/store/blob-store.ts";
import { CONDITIONS_ADVICE } from "../explain.ts";
import { type Finding, fail, failedWith, ok } from "./finding.ts";

const RIGHTS =
  "The mirror needs the rights to get, put, delete and list (for S3: s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket).";

/**
 * For a server that starts.
 * @throws {ConfigError} The store cannot be used as the mirror does, and why.
 */
export async function assertUsableStore(store: BlobStore): Promise<void> {
  const failed = (await checkStore(store, undefined)).find(({ status }) => status === "fail");
  if (failed === undefined) return;
  const { check, detail, advice } = failed;
  throw new ConfigError(`${check}: ${detail}${advice === undefined ? "" : `\n  ${advice}`}`);
}

/** @param folder - Of a folder store. One that does not exist is more often mistyped than new, and is not created. */
export async function checkStore(store: BlobStore, folder: string | undefined): Promise<Finding[]> {
  if (folder !== undefined && !existsSync(folder)) {
    const advice = "Check --store. A new store is created by nearside connect and nearside serve.";
    return [fail("store", `there is no folder ${folder}`, advice)];
  }
  const key = `doctor/${randomUUID()}`;
  const findings: Finding[] = [];
  const step = async (name: string, run: () => Promise<string>): Promise<boolean> => {
    const check = `store: ${name}`;
    try {
      findings.push(ok(check, await run()));
      return true;
    } catch (error) {
      const isIgnored = error instanceof IgnoredConditionError;
      findings.push(
        isIgnored ? fail(check, error.message, CONDITIONS_ADVICE) : failedWith(check, error, RIGHTS),
      );
      return false;
    }
  };
  const isWritten = await step("write", async () => {
    await store.write(key, text("first"), { ifVersion: "absent" });
    return `a blob was written, as ${key}`;
  });
  if (!isWritten) return findings;
  await step("read", () => checkRead(store, key));
  await step("compare-and-swap", () => checkConditions(store, key));
  await step("list", async () => {
    for await (const info of store.list(key)) if (info.key === key) return "it is in the list";
    throw new NotFoundError("what was written is not in the list", { key });
  });
  await step("delete", async () => {
    await store.delete(key);
    const left = await store.read(key).catch(insteadOf(NotFoundError, undefined));
    if (left !== undefined) throw new Error(`what was deleted can still be read: ${key}`);
    return "it is gone";
  });
  return findings;
}

async function checkRead(store: BlobStore, key: string): Promise<string> {
  const whole = new TextDecoder().decode((await store.read(key)).bytes);
  const part = new TextDecoder().decode(await store.readRange(key, 1, 3));
  if (whole !== "first" || part !== "irs") throw new Error(`what was read is not what was written: ${key}`);
  return "whole and in part";
}

class IgnoredConditionError extends Error {}

async function checkConditions(store: BlobStore, key: string): Promise<string> {
  const { version } = await store.read(key);
  // No condition matches a weak one. Source: RFC 9110, section 13.1.1.
  if (version.startsWith("W/"))
    throw new IgnoredConditionError("the store answers with weak ETags, as behind a proxy that compresses");
  await expectConflict(() => store.write(key, text("other"), { ifVersion: "absent" }), "If-None-Match");
  await store.write(key, text("second"), { ifVersion: version });
  await expectConflict(() => store.write(key, text("third"), { ifVersion: version }), "If-Match");
  return "a writer that comes second is refused";
}

async function expectConflict(write: () => Promise<unknown>, condition: string): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (error instanceof VersionConflictError) return;
    throw error;
  }
  throw new IgnoredConditionError(`the store ignores the condition of a write (${condition})`);
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

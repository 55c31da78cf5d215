import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FolderLock } from "../../../lib/store/folder-lock.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "nearside-folder-lock-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("a lock that is kept is not waited for without end, and can be had once it is free", async () => {
  const path = join(folder, "lock.sqlite");
  const [kept, other] = [new FolderLock(path), new FolderLock(path, { maxWaitMs: 20 })];
  const held = Promise.withResolvers<void>();
  const free = Promise.withResolvers<void>();
  const holding = kept.run(async () => {
    held.resolve();
    await free.promise;
  });
  await held.promise;
  await expect(other.run(async () => "mine")).rejects.toMatchObject({
    code: "LIMIT_EXCEEDED",
    message: expect.stringContaining(path),
  });
  free.resolve();
  await holding;
  expect(await other.run(async () => "mine")).toBe("mine");
});

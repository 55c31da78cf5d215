/** Kept answers that are damaged, or deleted while they are read: they are never taken for whole, and are made anew. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { AnswerRig, expectWhole, readAll } from "../../../support/answer-rig.ts";
import { type TemporaryFolder, temporaryFolder } from "../../../support/git/temporary-folder.ts";

let folder: TemporaryFolder;
let rig: AnswerRig;

beforeEach(async () => {
  folder = await temporaryFolder();
  rig = new AnswerRig(folder.path);
  await rig.read();
  await rig.untilKept();
  rig.startAnew();
  rig.madeCount = 0;
});

afterEach(() => folder.remove());

test.each([
  ["cut", (bytes: Uint8Array) => bytes.subarray(0, -1)],
  ["cut in its head", (bytes: Uint8Array) => bytes.subarray(0, 7)],
  ["empty", () => new Uint8Array(0)],
  ["longer", (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.from("x")])],
  ["another thing", () => Buffer.from("not an answer at all, whatever its length is")],
  ["changed in one bit", (bytes: Uint8Array) => bytes.with(1_000_000, (bytes[1_000_000] ?? 0) ^ 1)],
])("an answer that is %s is never given to its end, and made anew then", async (_, damage) => {
  await rig.store.write(rig.blobKey, damage((await rig.store.read(rig.blobKey)).bytes));
  await expect(rig.read()).rejects.toThrow(/answer/);
  expect(rig.failures).toHaveLength(1);
  expect(await rig.keptBytes()).toBe(0);
  expectWhole(await rig.read());
  expect(rig.madeCount).toBe(1);
});

test("removed while it is read, it is whole or broken off, and made anew then", async () => {
  const reader = await rig.open(rig.order());
  await reader.next();
  await rig.store.delete(rig.blobKey);
  await readAll(reader).catch(() => undefined);
  expectWhole(await rig.read());
  expect(rig.madeCount).toBe(1);
});

test("a store that breaks off is an error, and the answer stays", async () => {
  const reader = await rig.open(rig.order());
  await reader.next();
  rig.before = () => {
    throw new Error("connection reset");
  };
  await expect(readAll(reader)).rejects.toThrow("connection reset");
  expect(rig.failures).toHaveLength(1);
  rig.before = undefined;
  expect(await rig.keptBytes()).toBeGreaterThan(0);
});

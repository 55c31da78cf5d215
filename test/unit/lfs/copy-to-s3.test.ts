/** Copies into S3, where a file of some size is a multipart upload. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../../lib/store/s3-client.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import { type S3Server, startS3Server } from "../../support/s3-server/s3-server.ts";

const MEBIBYTE = 2 ** 20;
/** The least that S3 takes. */
const PART_BYTES = 5 * MEBIBYTE;
const CONTENT = randomBytes(8 * PART_BYTES);

let primary: Primary;
let s3: S3Server;
let store: S3BlobStore;
let rig: CopierRig;
/** Of part uploads; a failing one is answered with 500. */
let parts: number[];
let failingPart: number | undefined;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  parts = [];
  failingPart = undefined;
  s3 = await startS3Server({
    folder: join(primary.folder, "s3"),
    intercept: ({ url = "", method }, response) => {
      const part = Number(new URL(url, "http://s3").searchParams.get("partNumber"));
      if (method !== "PUT" || part === 0) return false;
      parts.push(part);
      if (part === failingPart) response.writeHead(500, { connection: "close" }).end();
      return part === failingPart;
    },
  });
  const multipartLimits = { partBytes: PART_BYTES, maxPartsInFlight: 2, maxParts: 100 };
  store = new S3BlobStore({ client: createS3Client(s3), bucket: s3.bucketName, multipartLimits });
  rig = copierRig(primary, store);
});
afterEach(async () => {
  await rig.sync.close();
  await s3.close();
  await primary.close();
});

test("a store that fails at part 7: nothing is visible, no part is left, and the next run heals it", async () => {
  const oid = await rig.addFile("large.bin", CONTENT);
  failingPart = 7;
  await expect(rig.run()).rejects.toThrow();
  expect(parts).toContain(7);
  expect(await rig.storedOids()).toEqual([]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.pending);
  expect(s3.openUploadCount()).toBe(0);
  failingPart = undefined;
  await rig.runJobs();
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.stored);
  expect(Buffer.from((await store.read(lfsFileKey(oid))).bytes).equals(CONTENT)).toBe(true);
});

test("wrong bytes in parts: the upload is never completed", async () => {
  const oid = await rig.addFile("large.bin", CONTENT);
  primary.fake.lfs.misbehave({ wrongBytes: true });
  await rig.run();
  expect(parts.length).toBeGreaterThan(5);
  expect([await rig.storedOids(), s3.openUploadCount()]).toEqual([[], 0]);
  expect((await rig.record(oid))?.state).toBe(LFS_STATE.postponed);
});

/** A repository mirrored into S3: any client can copy its prefix out and has a repository; requests are counted. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { repositoryKeys } from "../../lib/repo/layout.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { startMirror } from "../support/mirror-process.ts";
import {
  expectSilentFsck,
  listRefs,
  type Primary,
  reachableObjects,
  startPrimary,
} from "../support/primary.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { CountingBlobStore } from "../support/store/counting-blob-store.ts";
import { expectCloneLikePrimary, expectNothingLeftOver, RIG_UUID, syncRig } from "../support/sync-rig.ts";

const PREFIX = "mirror/one";

let primary: Primary;
let s3Server: S3Server;
let client: S3Client;

beforeEach(async () => {
  primary = await startPrimary();
  s3Server = await startS3Server({ folder: primary.newPath() });
  const { endpoint, credentials } = s3Server;
  client = createS3Client({ endpoint, credentials });
});

afterEach(async () => {
  client.destroy();
  await s3Server.close();
  await primary.close();
});

/** With nothing but S3's own calls, as `aws s3 sync` does it. */
async function copyOut(prefix: string): Promise<string> {
  const { bucketName: Bucket, endpoint, region, credentials } = s3Server;
  const plainClient = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const folder = primary.newPath();
  const { Contents = [] } = await plainClient.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  for (const { Key = "" } of Contents) {
    const { Body } = await plainClient.send(new GetObjectCommand({ Bucket, Key }));
    const path = join(folder, Key.slice(prefix.length));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, (await Body?.transformToByteArray()) ?? "");
  }
  plainClient.destroy();
  return folder;
}

async function expectCopyLikePrimary(prefix: string): Promise<void> {
  const copy = await copyOut(prefix);
  await expectSilentFsck(copy);
  expect(await listRefs(copy)).toBe(await listRefs(primary.repository));
  expect(await reachableObjects(copy)).toEqual(await reachableObjects(primary.repository));
}

test("the copied prefix is a repository, and a sync asks little of the store", async () => {
  const store = new CountingBlobStore(
    new S3BlobStore({ client, bucket: s3Server.bucketName, prefix: PREFIX }),
  );
  const rig = syncRig(primary, store);
  const prefix = `${PREFIX}/${repositoryKeys(RIG_UUID).prefix}`;
  try {
    await rig.sync();
    // Reads: is there a manifest, or the tombstone of one, and has an import begun? And in the end: are HEAD and packed-refs still ours? Writes: pack, index, history, four of refs and HEAD, manifest.
    expect(store.counts()).toMatchObject({
      ...{ requests: 14, read: 4, readIfChanged: 1, write: 7, completeUpload: 1, rounds: 9 },
    });
    await expectCopyLikePrimary(prefix);

    await primary.commit("main", "second.txt", "second\n");
    store.reset();
    await rig.sync();
    // Reads: manifest, refs, an index; then the new pack's index and a block of each pack, to see whether a tip was lost.
    const incremental = {
      requests: 15,
      read: 5,
      readIfChanged: 1,
      readUpTo: 2,
      write: 5,
      completeUpload: 1,
      list: 0,
      rounds: 11,
    };
    expect(store.counts()).toMatchObject(incremental);

    store.reset();
    await rig.sync();
    expect(store.counts()).toMatchObject({ requests: 2, read: 2, write: 0, rounds: 2 });
    await expectCopyLikePrimary(prefix);
    await expectNothingLeftOver(rig);
    await expectCloneLikePrimary(rig, primary);
  } finally {
    await rig.close();
  }
});

test("the process mirrors into a bucket, and takes up where it left", async () => {
  const { endpoint, credentials, bucketName } = s3Server;
  const args = [...primary.mirrorArguments];
  args.splice(
    args.indexOf("--store"),
    2,
    "--store",
    `s3://${bucketName}/${PREFIX}`,
    "--s3-endpoint",
    endpoint,
  );
  const env = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const first = await startMirror(args, { env });
  expect(await listRefs(first.repositories[0]?.cloneUrl ?? "")).toBe(await listRefs(primary.repository));
  await first.stop();
  await primary.commit("main", "second.txt", "second\n");
  const second = await startMirror(args, { env });
  await second.untilSaid(/generation 2,/);
  expect((await second.stop()).exitCode).toBe(0);
  const store = new S3BlobStore({ client, bucket: bucketName, prefix: PREFIX });
  const keys: string[] = [];
  for await (const { key } of store.list("repos/")) keys.push(key);
  await expectCopyLikePrimary(`${PREFIX}/${keys[0]?.split("/").slice(0, 2).join("/")}/`);
});

/** What a bucket keeps of deleted objects is deleted for good, by its versions. */
import { DeleteObjectCommand, ListObjectVersionsCommand, type S3Client } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { forgetFile } from "../../../lib/lfs/forget-file.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { S3BlobStore } from "../../../lib/store/s3-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

interface Version {
  readonly Key: string;
  readonly VersionId: string;
  readonly IsLatest: boolean;
}

/** A bucket that answers with pages of two versions, and notes what is deleted. */
function versionedBucket(versions: readonly Version[]) {
  const deleted: string[] = [];
  const send = async (command: unknown): Promise<object> => {
    if (command instanceof DeleteObjectCommand) {
      deleted.push(`${command.input.Key} ${command.input.VersionId}`);
      return {};
    }
    if (!(command instanceof ListObjectVersionsCommand)) throw new Error("not expected here");
    const { Prefix = "", KeyMarker, VersionIdMarker } = command.input;
    const listed = versions.filter(({ Key }) => Key.startsWith(Prefix));
    const last = listed.findIndex((one) => one.Key === KeyMarker && one.VersionId === VersionIdMarker);
    const page = listed.slice(last + 1, last + 3);
    const end = page.at(-1);
    return {
      Versions: page,
      IsTruncated: last + 3 < listed.length,
      NextKeyMarker: end?.Key,
      NextVersionIdMarker: end?.VersionId,
    };
  };
  return {
    deleted,
    store: new S3BlobStore({ client: { send } as unknown as S3Client, bucket: "b", prefix: "m" }),
  };
}

test("every earlier version below the prefix is deleted, none that counts, and no other key", async () => {
  const version = (Key: string, VersionId: string, IsLatest = false): Version => ({
    Key,
    VersionId,
    IsLatest,
  });
  const { store, deleted } = versionedBucket([
    version("m/repos/a/manifest.json", "3", true),
    version("m/repos/a/manifest.json", "2"),
    version("m/repos/a/manifest.json", "1"),
    version("m/repos/a/objects/pack/p.pack", "4"),
    version("m/repos/b/manifest.json", "5"),
  ]);
  await store.removeEarlierVersions("repos/a/");
  expect(deleted.toSorted()).toEqual([
    "m/repos/a/manifest.json 1",
    "m/repos/a/manifest.json 2",
    "m/repos/a/objects/pack/p.pack 4",
  ]);
});

test("a forgotten file of git-lfs is deleted with its earlier versions, after the file itself", async () => {
  const oid = "ab".repeat(32);
  const store = new MemoryBlobStore();
  await store.write(lfsFileKey(oid), new Uint8Array(3));
  const purged: string[] = [];
  await forgetFile(
    Object.assign(store, {
      removeEarlierVersions: async (prefix: string) => {
        await expect(store.read(prefix)).rejects.toThrow("not found");
        purged.push(prefix);
      },
    }),
    oid,
  );
  expect(purged).toEqual([lfsFileKey(oid)]);
});

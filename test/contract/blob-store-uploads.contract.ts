/** The part of the blob store contract about uploads. */
import { expect, test } from "vitest";
import { NotFoundError, VersionConflictError } from "../../lib/errors.ts";
import { type BlobStore, MAX_UPLOAD_HEAD_BYTES } from "../../lib/store/blob-store.ts";
import { collectKeys, expectSameBytes, MEBIBYTE, newKey, pattern, text } from "./blob-samples.ts";

export function uploadContract(openStore: () => BlobStore): void {
  test.each([
    ["nothing", 0, 1],
    ["a few bytes", 10, 3],
    ["exactly 8 MiB", 8 * MEBIBYTE, 100_000],
    ["a byte more than 8 MiB", 8 * MEBIBYTE + 1, MEBIBYTE],
    ["exactly 16 MiB in one write", 16 * MEBIBYTE, 16 * MEBIBYTE],
    ["41 MiB in odd pieces", 41 * MEBIBYTE + 5, 777_777],
  ])("%s arrives as it was written", async (_name, sizeBytes, pieceBytes) => {
    const store = openStore();
    const key = newKey();
    const bytes = pattern(sizeBytes);
    const upload = await store.startUpload(key);
    for (let start = 0; start < sizeBytes; start += pieceBytes) {
      const piece = bytes.slice(start, start + pieceBytes);
      await upload.write(piece);
      piece.fill(0); // the caller may use its buffer again
    }
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
    const version = await upload.complete();
    const blob = await store.read(key);
    expect(blob.version).toBe(version);
    expectSameBytes(blob.bytes, bytes);
  });

  test.each([
    ["one part", 20_000],
    ["several parts", 17 * MEBIBYTE],
  ])("the head replaces the first bytes of %s", async (_name, sizeBytes) => {
    const store = openStore();
    const bytes = pattern(sizeBytes);
    for (const headBytes of [1, 12, MAX_UPLOAD_HEAD_BYTES]) {
      const key = newKey();
      const upload = await store.startUpload(key);
      await upload.write(bytes);
      const head = new Uint8Array(headBytes).fill(0xee);
      await upload.complete({ head });
      const expected = bytes.slice();
      expected.set(head);
      expectSameBytes((await store.read(key)).bytes, expected);
    }
  });

  test("a head as long as the blob is the blob; a longer one is a RangeError, and nothing is written", async () => {
    const store = openStore();
    const key = newKey();
    const upload = await store.startUpload(key);
    await upload.write(text("abc"));
    await upload.complete({ head: text("xyz") });
    expect((await store.read(key)).bytes).toEqual(text("xyz"));

    const tooShort = await store.startUpload(key);
    await tooShort.write(text("abc"));
    await expect(tooShort.complete({ head: text("wxyz") })).rejects.toThrow(RangeError);
    const long = await store.startUpload(key);
    await long.write(new Uint8Array(10_000));
    await expect(long.complete({ head: new Uint8Array(MAX_UPLOAD_HEAD_BYTES + 1) })).rejects.toThrow(
      RangeError,
    );
    expect((await store.read(key)).bytes).toEqual(text("xyz"));
  });

  test("unfinished uploads from before a time are removed, and their writers fail; later ones go on", async () => {
    const store = openStore();
    const key = newKey("old");
    const prefix = key.slice(0, key.lastIndexOf("/") + 1);
    const old = await store.startUpload(key);
    await old.write(new Uint8Array(20 * MEBIBYTE));
    expect(await store.removeUnfinishedUploads(prefix, Date.now() - 60_000)).toBe(0);
    expect(await store.removeUnfinishedUploads("another-prefix/", Date.now() - 60_000)).toBe(0);
    // A minute on: stores keep times in whole seconds, and by clocks of their own.
    expect(await store.removeUnfinishedUploads(prefix, Date.now() + 60_000)).toBe(1);
    await expect(old.complete()).rejects.toThrow();
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
    const young = await store.startUpload(`${prefix}young`);
    await young.write(new Uint8Array(20 * MEBIBYTE));
    expect(await store.removeUnfinishedUploads(prefix, Date.now() - 60_000)).toBe(0);
    await young.complete();
    expect(await collectKeys(store, prefix)).toEqual([`${prefix}young`]);
  });

  test("an aborted upload leaves nothing, and abort is safe at any time", async () => {
    const store = openStore();
    const key = newKey();
    const upload = await store.startUpload(key);
    await upload.write(new Uint8Array(20 * MEBIBYTE));
    await upload.abort();
    await upload.abort();
    await expect(upload.write(text("more"))).rejects.toThrow();
    await expect(upload.complete()).rejects.toThrow();
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
    expect(await collectKeys(store, key)).toEqual([]);

    const completed = await store.startUpload(key);
    await completed.write(text("here"));
    await completed.complete();
    await completed.abort();
    expect((await store.read(key)).bytes).toEqual(text("here"));
  });

  test("the condition counts when the upload completes", async () => {
    const store = openStore();
    const key = newKey();
    const upload = await store.startUpload(key, { ifVersion: "absent" });
    await upload.write(text("late"));
    await store.write(key, text("early"));
    await expect(upload.complete()).rejects.toThrow(VersionConflictError);
    expect((await store.read(key)).bytes).toEqual(text("early"));
  });
}

import { expect, test } from "vitest";
import { CountingBlobStore } from "../../support/store/counting-blob-store.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

test("requests are counted by kind, with their bytes", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  const version = await store.write("a", new Uint8Array(100));
  const upload = await store.startUpload("b");
  await upload.write(new Uint8Array(20));
  await upload.write(new Uint8Array(5));
  await upload.complete();
  await store.read("a");
  await store.readIfChanged("a", version);
  await store.readRange("a", 10, 7);
  await store.readUpTo("a", 90, 50);
  for await (const _chunk of store.readStream("a", 0, 30));
  for await (const _info of store.list(""));
  await store.delete("a");
  await expect(store.read("a")).rejects.toThrow();
  expect(store.counts()).toEqual({
    read: 2,
    readIfChanged: 1,
    readRange: 1,
    readUpTo: 1,
    readStream: 1,
    write: 1,
    startUpload: 1,
    completeUpload: 1,
    delete: 1,
    list: 1,
    requests: 11,
    bytesRead: 100 + 7 + 10 + 30,
    bytesWritten: 125,
    rounds: 11,
  });
  store.reset();
  expect(store.counts()).toMatchObject({ requests: 0, bytesRead: 0, bytesWritten: 0, rounds: 0 });
});

test("requests at the same time are one round, requests after them the next", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  await Promise.all(["a", "b", "c"].map((key) => store.write(key, new Uint8Array(10))));
  expect(store.counts().rounds).toBe(1);
  await Promise.all([store.read("a"), store.read("b"), store.readRange("c", 0, 1)]);
  expect(store.counts().rounds).toBe(2);
});

test("a stream is answered with its first chunk", async () => {
  const store = new CountingBlobStore(new MemoryBlobStore());
  await store.write("a", new Uint8Array(200_000));
  store.reset();
  const streamed = store.readStream("a", 0, 200_000);
  const alongside = store.read("a");
  expect(store.counts().rounds).toBe(1);
  for await (const _chunk of streamed) {
    await store.readRange("a", 0, 1);
    break;
  }
  await alongside;
  expect(store.counts()).toMatchObject({ requests: 3, rounds: 2 });
});

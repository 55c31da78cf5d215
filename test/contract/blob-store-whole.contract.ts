/** The part of the blob store contract about whole blobs. */
import { expect, test } from "vitest";
import { NotFoundError } from "../../lib/errors.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { collect, newKey, text } from "./blob-samples.ts";

export function wholeBlobContract(openStore: () => BlobStore): void {
  test("a blob reads as it was written, with the version that the write gave", async () => {
    const store = openStore();
    const key = newKey();
    const version = await store.write(key, text("first"));
    expect(await store.read(key)).toEqual({ bytes: text("first"), version });
    const secondVersion = await store.write(key, text("second, longer"));
    expect(secondVersion).not.toBe(version);
    expect(await store.read(key)).toEqual({ bytes: text("second, longer"), version: secondVersion });
  });

  test("an empty blob is a blob", async () => {
    const store = openStore();
    const key = newKey();
    const version = await store.write(key, new Uint8Array());
    expect(await store.read(key)).toEqual({ bytes: new Uint8Array(), version });
  });

  test("every write of other bytes gives another version, also of the same size in quick succession", async () => {
    const store = openStore();
    const key = newKey();
    const versions = new Set<string>();
    for (let round = 0; round < 40; round += 1)
      versions.add(await store.write(key, text(`round ${round % 10} ${round}`.padEnd(12))));
    expect(versions.size).toBe(40);
  });

  test("the caller's buffer may be changed once the write has resolved", async () => {
    const store = openStore();
    const key = newKey();
    const bytes = text("mine");
    await store.write(key, bytes);
    bytes.fill(0);
    const read = await store.read(key);
    expect(read.bytes).toEqual(text("mine"));
    read.bytes.fill(0);
    expect((await store.read(key)).bytes).toEqual(text("mine"));
  });

  test("a missing blob is a NotFoundError for every kind of read", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(`${key}/below`, text("a key below is not the key"));
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
    await expect(store.readIfChanged(key, '"x"')).rejects.toThrow(NotFoundError);
    await expect(store.readRange(key, 0, 1)).rejects.toThrow(NotFoundError);
    await expect(store.readRange(key, 0, 0)).rejects.toThrow(NotFoundError);
    await expect(store.readUpTo(key, 0, 1)).rejects.toThrow(NotFoundError);
    await expect(collect(store.readStream(key, 0, 1))).rejects.toThrow(NotFoundError);
    await expect(collect(store.readStream(key, 0, 0))).rejects.toThrow(NotFoundError);
    await expect(store.read(`${key}/below/more`)).rejects.toThrow(NotFoundError);
  });

  test("readIfChanged says unchanged until another write", async () => {
    const store = openStore();
    const key = newKey();
    const version = await store.write(key, text("one"));
    expect(await store.readIfChanged(key, version)).toBe("unchanged");
    const next = await store.write(key, text("two"));
    expect(await store.readIfChanged(key, version)).toEqual({ bytes: text("two"), version: next });
    expect(await store.readIfChanged(key, next)).toBe("unchanged");
  });

  test("a deleted blob is gone, and deleting it again is no error", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(key, text("one"));
    await store.delete(key);
    await expect(store.read(key)).rejects.toThrow(NotFoundError);
    await store.delete(key);
    await store.write(key, text("two"), { ifVersion: "absent" });
    expect((await store.read(key)).bytes).toEqual(text("two"));
  });
}

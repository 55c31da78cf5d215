/** The part of the blob store contract about ranges. */
import { expect, test } from "vitest";
import { NotFoundError } from "../../lib/errors.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { collect, expectSameBytes, MEBIBYTE, newKey, pattern, patternByte, text } from "./blob-samples.ts";

export function rangeContract(openStore: () => BlobStore): void {
  test("a range inside the blob gives exactly its bytes, as bytes and as a stream", async () => {
    const store = openStore();
    const key = newKey();
    const bytes = pattern(3 * MEBIBYTE + 17);
    await store.write(key, bytes);
    const ranges: [number, number][] = [
      [0, 1],
      [0, bytes.length],
      [bytes.length - 1, 1],
      [MEBIBYTE - 1, 2],
      [5, 2 * MEBIBYTE],
    ];
    for (const [offset, length] of ranges) {
      const expected = bytes.subarray(offset, offset + length);
      expectSameBytes(await store.readRange(key, offset, length), expected);
      expectSameBytes(await collect(store.readStream(key, offset, length)), expected);
      expectSameBytes(await store.readUpTo(key, offset, length), expected);
    }
  });

  test.each([0, 1, 3 * MEBIBYTE + 17])(
    "a whole blob of %d bytes is streamed without its size",
    async (sizeBytes) => {
      const store = openStore();
      const key = newKey();
      await store.write(key, pattern(sizeBytes));
      expectSameBytes(await collect(store.streamWhole(key)), pattern(sizeBytes));
    },
  );

  test("a whole blob is one version to its end: replaced meanwhile, it is the old one or a failure", async () => {
    const store = openStore();
    const key = newKey();
    const old = pattern(3 * MEBIBYTE);
    await store.write(key, old);
    const chunks: Uint8Array[] = [];
    const reading = async () => {
      for await (const chunk of store.streamWhole(key)) {
        if (chunks.length === 0) await store.write(key, old.toReversed());
        chunks.push(chunk);
      }
    };
    const failure = await reading().catch((error: unknown) => error);
    const read = Buffer.concat(chunks);
    if (failure === undefined) expect(read.length).toBe(old.length);
    expectSameBytes(read, old.subarray(0, read.length));
  });

  test("a whole blob that is not there is a NotFoundError", async () => {
    await expect(collect(openStore().streamWhole(newKey()))).rejects.toThrow(NotFoundError);
  });

  test("an empty range is empty up to the end of the blob", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(key, text("ten bytes."));
    for (const offset of [0, 5, 10]) {
      expect(await store.readRange(key, offset, 0)).toEqual(new Uint8Array());
      expect(await collect(store.readStream(key, offset, 0))).toEqual(new Uint8Array());
    }
  });

  test.each([
    [0, 11],
    [10, 1],
    [9, 2],
    [11, 0],
    [5000, 10],
    [-1, 2],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
    [0, 2 ** 53],
  ])("a range that is not inside a blob of 10 bytes is a RangeError: %d, %d", async (offset, length) => {
    const store = openStore();
    const key = newKey();
    await store.write(key, text("ten bytes."));
    await expect(store.readRange(key, offset, length)).rejects.toThrow(RangeError);
    await expect(collect(store.readStream(key, offset, length))).rejects.toThrow(RangeError);
  });

  test("readUpTo stops at the end, and refuses to start there", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(key, text("ten bytes."));
    expect(await store.readUpTo(key, 4, 100)).toEqual(text("bytes."));
    expect(await store.readUpTo(key, 9, 1)).toEqual(text("."));
    await expect(store.readUpTo(key, 10, 1)).rejects.toThrow(RangeError);
    await expect(store.readUpTo(key, 0, 0)).rejects.toThrow(RangeError);
    await expect(store.readUpTo(key, -1, 5)).rejects.toThrow(RangeError);
    await store.write(key, new Uint8Array());
    await expect(store.readUpTo(key, 0, 1)).rejects.toThrow(RangeError);
  });

  test("ending streams early, many times over, leaves the store usable", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(key, pattern(4 * MEBIBYTE));
    for (let round = 0; round < 300; round += 1) {
      for await (const chunk of store.readStream(key, round, 3 * MEBIBYTE)) {
        expect(chunk[0]).toBe(patternByte(round));
        break;
      }
    }
    expectSameBytes(await store.readRange(key, 7, 9), pattern(16).subarray(7));
  });

  test("a stream of a blob that is replaced meanwhile gives the old bytes whole or fails", async () => {
    const store = openStore();
    const key = newKey();
    await store.write(key, new Uint8Array(12 * MEBIBYTE).fill(1));
    const seen = new Set<number>();
    let seenBytes = 0;
    let failure: unknown;
    try {
      for await (const chunk of store.readStream(key, 0, 12 * MEBIBYTE)) {
        if (seenBytes === 0) await store.write(key, new Uint8Array(12 * MEBIBYTE).fill(2));
        for (const byte of chunk) seen.add(byte);
        seenBytes += chunk.length;
      }
    } catch (error) {
      failure = error;
    }
    expect(seen).toEqual(new Set([1]));
    expect(failure === undefined ? seenBytes : 12 * MEBIBYTE).toBe(12 * MEBIBYTE);
  });

  test("readers during replacements see one write, whole", async () => {
    const store = openStore();
    const key = newKey();
    const sizeBytes = 300_000;
    await store.write(key, new Uint8Array(sizeBytes).fill(0));
    let isWriting = true;
    const reading = Array.from({ length: 4 }, async () => {
      let newest = 0;
      while (isWriting) {
        const { bytes } = await store.read(key);
        expect(bytes.length).toBe(sizeBytes);
        const value = bytes[0] ?? -1;
        expect(bytes.every((byte) => byte === value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(newest);
        newest = value;
      }
    });
    for (let value = 1; value <= 40; value += 1)
      await store.write(key, new Uint8Array(sizeBytes).fill(value));
    isWriting = false;
    await Promise.all(reading);
  });
}

/** The part of the blob store contract about reads whose signal aborts. */
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import type { BlobStore, ReadOptions } from "../../lib/store/blob-store.ts";
import { collect, expectSameBytes, MEBIBYTE, newKey, pattern } from "./blob-samples.ts";

/** Every way to read, from a blob of 3 MiB. */
const READS: Record<string, (store: BlobStore, key: string, options: ReadOptions) => Promise<unknown>> = {
  read: (store, key, options) => store.read(key, options),
  readIfChanged: (store, key, options) => store.readIfChanged(key, '"other"', options),
  readRange: (store, key, options) => store.readRange(key, 5, 2 * MEBIBYTE, options),
  "empty readRange": (store, key, options) => store.readRange(key, 5, 0, options),
  readUpTo: (store, key, options) => store.readUpTo(key, 5, 9 * MEBIBYTE, options),
  readStream: (store, key, options) => collect(store.readStream(key, 5, 2 * MEBIBYTE, options)),
  streamWhole: (store, key, options) => collect(store.streamWhole(key, options)),
};

export function abortContract(openStore: () => BlobStore): void {
  test.each(Object.keys(READS))("%s: an aborted signal rejects with its reason", async (name) => {
    const store = openStore();
    const key = newKey();
    await store.write(key, pattern(3 * MEBIBYTE));
    const read = READS[name];
    const reason = new Error("the client has left");
    await expect(read?.(store, key, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const reading = read?.(store, key, { signal: controller.signal });
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });

  test.each(Object.keys(READS))("%s: a signal that does not abort changes nothing", async (name) => {
    const store = openStore();
    const key = newKey();
    await store.write(key, pattern(3 * MEBIBYTE));
    const { signal } = new AbortController();
    const withSignal = await READS[name]?.(store, key, { signal });
    // Of vitest, the comparison of megabytes takes seconds.
    expect(isDeepStrictEqual(withSignal, await READS[name]?.(store, key, {}))).toBe(true);
  });

  test.each(["readStream", "streamWhole"] as const)("%s: aborted between chunks, it ends", async (name) => {
    const store = openStore();
    const key = newKey();
    await store.write(key, pattern(8 * MEBIBYTE));
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const reason = new Error("the client has left");
    let chunkCount = 0;
    const reading = async () => {
      const chunks =
        name === "readStream"
          ? store.readStream(key, 0, 8 * MEBIBYTE, options)
          : store.streamWhole(key, options);
      for await (const _chunk of chunks) {
        chunkCount += 1;
        controller.abort(reason);
      }
    };
    await expect(reading()).rejects.toBe(reason);
    expect(chunkCount).toBe(1);
    expectSameBytes(await store.readRange(key, 7, 9), pattern(16).subarray(7));
  });
}

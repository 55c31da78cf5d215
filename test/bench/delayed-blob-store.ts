/** Lets every request to a store wait first: what a store in the network costs. */
import { setTimeout } from "node:timers/promises";
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  WriteCondition,
} from "../../lib/store/blob-store.ts";

export class DelayedBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #delayMs: number;

  /** @param delayMs - Of each request. A stream waits once, before its first chunk. */
  constructor(store: BlobStore, delayMs: number) {
    this.#store = store;
    this.#delayMs = delayMs;
  }

  async read(key: string): Promise<Blob> {
    await setTimeout(this.#delayMs);
    return this.#store.read(key);
  }

  async readIfChanged(key: string, knownVersion: BlobVersion): Promise<Blob | "unchanged"> {
    await setTimeout(this.#delayMs);
    return this.#store.readIfChanged(key, knownVersion);
  }

  async readRange(key: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    await setTimeout(this.#delayMs);
    return this.#store.readRange(key, offsetBytes, lengthBytes);
  }

  async readUpTo(key: string, offsetBytes: number, maxBytes: number): Promise<Uint8Array> {
    await setTimeout(this.#delayMs);
    return this.#store.readUpTo(key, offsetBytes, maxBytes);
  }

  async *readStream(key: string, offsetBytes: number, lengthBytes: number): AsyncGenerator<Uint8Array> {
    await setTimeout(this.#delayMs);
    yield* this.#store.readStream(key, offsetBytes, lengthBytes);
  }

  async *streamWhole(key: string): AsyncGenerator<Uint8Array> {
    await setTimeout(this.#delayMs);
    yield* this.#store.streamWhole(key);
  }

  async write(key: string, bytes: Uint8Array, condition?: WriteCondition): Promise<BlobVersion> {
    await setTimeout(this.#delayMs);
    return this.#store.write(key, bytes, condition);
  }

  /** The upload's pieces go out as they would from a store that sends them while the next one is made: without a wait. */
  async startUpload(key: string, condition?: WriteCondition): Promise<BlobUpload> {
    await setTimeout(this.#delayMs);
    const upload = await this.#store.startUpload(key, condition);
    return {
      write: (bytes) => upload.write(bytes),
      complete: async (options) => {
        await setTimeout(this.#delayMs);
        return upload.complete(options);
      },
      abort: () => upload.abort(),
    };
  }

  async removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    await setTimeout(this.#delayMs);
    return this.#store.removeUnfinishedUploads(prefix, startedBeforeMs);
  }

  async delete(key: string): Promise<void> {
    await setTimeout(this.#delayMs);
    return this.#store.delete(key);
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    await setTimeout(this.#delayMs);
    yield* this.#store.list(prefix);
  }
}

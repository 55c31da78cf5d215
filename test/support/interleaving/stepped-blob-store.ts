/** A blob store as one actor sees it: each call waits for its turn. */
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  ReadOptions,
  WriteCondition,
} from "../../../lib/store/blob-store.ts";
import type { Step } from "./scheduler.ts";

export class SteppedBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #step: Step;
  readonly #clockAheadMs: number;

  /** @param clockAheadMs - How far the actor's clock is ahead of the store's. */
  constructor(store: BlobStore, step: Step, clockAheadMs = 0) {
    this.#store = store;
    this.#step = step;
    this.#clockAheadMs = clockAheadMs;
  }

  async read(key: string, options?: ReadOptions): Promise<Blob> {
    await this.#step();
    return this.#store.read(key, options);
  }

  async readIfChanged(
    key: string,
    knownVersion: BlobVersion,
    options?: ReadOptions,
  ): Promise<Blob | "unchanged"> {
    await this.#step();
    return this.#store.readIfChanged(key, knownVersion, options);
  }

  async readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    await this.#step();
    return this.#store.readRange(key, offsetBytes, lengthBytes, options);
  }

  async readUpTo(
    key: string,
    offsetBytes: number,
    maxBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    await this.#step();
    return this.#store.readUpTo(key, offsetBytes, maxBytes, options);
  }

  async *readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    await this.#step();
    yield* this.#store.readStream(key, offsetBytes, lengthBytes, options);
  }

  async *streamWhole(key: string, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    await this.#step();
    yield* this.#store.streamWhole(key, options);
  }

  async write(key: string, bytes: Uint8Array, condition?: WriteCondition): Promise<BlobVersion> {
    await this.#step();
    return this.#store.write(key, bytes, condition);
  }

  async startUpload(key: string, condition?: WriteCondition): Promise<BlobUpload> {
    await this.#step();
    const upload = await this.#store.startUpload(key, condition);
    return {
      write: (bytes) => upload.write(bytes),
      complete: async (options) => {
        await this.#step();
        return upload.complete(options);
      },
      abort: () => upload.abort(),
    };
  }

  async delete(key: string): Promise<void> {
    await this.#step();
    await this.#store.delete(key);
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    await this.#step();
    yield* this.#store.list(prefix);
  }

  async removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    await this.#step();
    return this.#store.removeUnfinishedUploads(prefix, startedBeforeMs - this.#clockAheadMs);
  }
}

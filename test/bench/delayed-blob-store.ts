/** Lets every request to a store wait first: what a store in the network costs. */
import { setTimeout } from "node:timers/promises";
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  ReadOptions,
  WriteCondition,
} from "../../lib/store/blob-store.ts";
import { orAborted } from "../../lib/store/shared-read.ts";

export class DelayedBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #delayMs: number;

  /** @param delayMs - Of each request. A stream waits once, before its first chunk. */
  constructor(store: BlobStore, delayMs: number) {
    this.#store = store;
    this.#delayMs = delayMs;
  }

  #delay({ signal }: ReadOptions = {}): Promise<void> {
    return orAborted(setTimeout(this.#delayMs), signal);
  }

  async read(key: string, options?: ReadOptions): Promise<Blob> {
    await this.#delay(options);
    return this.#store.read(key, options);
  }

  async readIfChanged(
    key: string,
    knownVersion: BlobVersion,
    options?: ReadOptions,
  ): Promise<Blob | "unchanged"> {
    await this.#delay(options);
    return this.#store.readIfChanged(key, knownVersion, options);
  }

  async readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    await this.#delay(options);
    return this.#store.readRange(key, offsetBytes, lengthBytes, options);
  }

  async readUpTo(
    key: string,
    offsetBytes: number,
    maxBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    await this.#delay(options);
    return this.#store.readUpTo(key, offsetBytes, maxBytes, options);
  }

  async *readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    await this.#delay(options);
    yield* this.#store.readStream(key, offsetBytes, lengthBytes, options);
  }

  async *streamWhole(key: string, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    await this.#delay(options);
    yield* this.#store.streamWhole(key, options);
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

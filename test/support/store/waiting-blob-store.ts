/** A blob store each of whose requests waits first: for its turn, or as long as a store in the network takes. */
import type { BlobStore, BlobUpload, ReadOptions, WriteCondition } from "../../../lib/store/blob-store.ts";

export class WaitingBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #wait: (options?: ReadOptions) => Promise<unknown>;

  /** @param wait - Called for each request, with the options of a read. A stream waits once, before its first chunk. */
  constructor(store: BlobStore, wait: (options?: ReadOptions) => Promise<unknown>) {
    this.#store = store;
    this.#wait = wait;
  }

  read: BlobStore["read"] = (key, options) => this.#after(options, () => this.#store.read(key, options));
  readIfChanged: BlobStore["readIfChanged"] = (key, version, options) =>
    this.#after(options, () => this.#store.readIfChanged(key, version, options));
  readRange: BlobStore["readRange"] = (...args) => this.#after(args[3], () => this.#store.readRange(...args));
  readUpTo: BlobStore["readUpTo"] = (...args) => this.#after(args[3], () => this.#store.readUpTo(...args));
  readStream: BlobStore["readStream"] = (...args) =>
    this.#each(args[3], () => this.#store.readStream(...args));
  streamWhole: BlobStore["streamWhole"] = (...args) =>
    this.#each(args[1], () => this.#store.streamWhole(...args));
  write: BlobStore["write"] = (...args) => this.#after(undefined, () => this.#store.write(...args));
  delete: BlobStore["delete"] = (...args) => this.#after(undefined, () => this.#store.delete(...args));
  list: BlobStore["list"] = (...args) => this.#each(undefined, () => this.#store.list(...args));

  removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    return this.#after(undefined, () => this.#store.removeUnfinishedUploads(prefix, startedBeforeMs));
  }

  /** The upload's pieces go out as they would from a store that sends them while the next one is made: without a wait. */
  async startUpload(key: string, condition?: WriteCondition): Promise<BlobUpload> {
    const upload = await this.#after(undefined, () => this.#store.startUpload(key, condition));
    return {
      write: (bytes) => upload.write(bytes),
      complete: (options) => this.#after(undefined, () => upload.complete(options)),
      abort: () => upload.abort(),
    };
  }

  async #after<Result>(options: ReadOptions | undefined, request: () => Promise<Result>): Promise<Result> {
    await this.#wait(options);
    return request();
  }

  async *#each<Item>(
    options: ReadOptions | undefined,
    request: () => AsyncIterable<Item>,
  ): AsyncGenerator<Item> {
    await this.#wait(options);
    yield* request();
  }
}

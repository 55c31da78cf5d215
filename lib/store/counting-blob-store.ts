/** Counts what is asked of a blob store, so that tests can pin an operation's cost. */
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  ReadOptions,
  WriteCondition,
} from "./blob-store.ts";

export interface StoreCounts {
  readonly read: number;
  readonly readIfChanged: number;
  readonly readRange: number;
  readonly readUpTo: number;
  /** Whole blobs included. */
  readonly readStream: number;
  readonly write: number;
  readonly startUpload: number;
  readonly completeUpload: number;
  readonly delete: number;
  readonly list: number;
  /** All of the above. */
  readonly requests: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /**
   * The longest chain of requests of which each began after another was answered: what latency multiplies. A stream is
   * answered with its first chunk.
   */
  readonly rounds: number;
}

const NOTHING: StoreCounts = {
  read: 0,
  readIfChanged: 0,
  readRange: 0,
  readUpTo: 0,
  readStream: 0,
  write: 0,
  startUpload: 0,
  completeUpload: 0,
  delete: 0,
  list: 0,
  requests: 0,
  bytesRead: 0,
  bytesWritten: 0,
  rounds: 0,
};

type RequestKind = Exclude<keyof StoreCounts, "requests" | "bytesRead" | "bytesWritten" | "rounds">;

export class CountingBlobStore implements BlobStore {
  readonly #store: BlobStore;
  #counts: { -readonly [Count in keyof StoreCounts]: StoreCounts[Count] } = { ...NOTHING };
  /** The deepest round that has been answered. */
  #answeredRound = 0;

  constructor(store: BlobStore) {
    this.#store = store;
  }

  /** What was asked since the start or the last `reset`. */
  counts(): StoreCounts {
    return { ...this.#counts };
  }

  /** Call it while no request is under way. */
  reset(): void {
    this.#counts = { ...NOTHING };
    this.#answeredRound = 0;
  }

  async read(key: string, options?: ReadOptions): Promise<Blob> {
    const blob = await this.#ask("read", () => this.#store.read(key, options));
    this.#counts.bytesRead += blob.bytes.length;
    return blob;
  }

  async readIfChanged(
    key: string,
    knownVersion: BlobVersion,
    options?: ReadOptions,
  ): Promise<Blob | "unchanged"> {
    const blob = await this.#ask("readIfChanged", () =>
      this.#store.readIfChanged(key, knownVersion, options),
    );
    if (blob !== "unchanged") this.#counts.bytesRead += blob.bytes.length;
    return blob;
  }

  async readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    const bytes = await this.#ask("readRange", () =>
      this.#store.readRange(key, offsetBytes, lengthBytes, options),
    );
    this.#counts.bytesRead += bytes.length;
    return bytes;
  }

  async readUpTo(
    key: string,
    offsetBytes: number,
    maxBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    const bytes = await this.#ask("readUpTo", () =>
      this.#store.readUpTo(key, offsetBytes, maxBytes, options),
    );
    this.#counts.bytesRead += bytes.length;
    return bytes;
  }

  readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncIterable<Uint8Array> {
    return this.#stream(() => this.#store.readStream(key, offsetBytes, lengthBytes, options));
  }

  streamWhole(key: string, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#stream(() => this.#store.streamWhole(key, options));
  }

  async *#stream(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const answered = this.#begin("readStream");
    try {
      for await (const chunk of open()) {
        answered();
        this.#counts.bytesRead += chunk.length;
        yield chunk;
      }
    } finally {
      answered();
    }
  }

  write(key: string, bytes: Uint8Array, condition?: WriteCondition): Promise<BlobVersion> {
    this.#counts.bytesWritten += bytes.length;
    return this.#ask("write", () => this.#store.write(key, bytes, condition));
  }

  async startUpload(key: string, condition?: WriteCondition): Promise<BlobUpload> {
    const upload = await this.#ask("startUpload", () => this.#store.startUpload(key, condition));
    return {
      write: (bytes) => {
        this.#counts.bytesWritten += bytes.length;
        return upload.write(bytes);
      },
      complete: (options) => this.#ask("completeUpload", () => upload.complete(options)),
      abort: () => upload.abort(),
    };
  }

  delete(key: string): Promise<void> {
    return this.#ask("delete", () => this.#store.delete(key));
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    const answered = this.#begin("list");
    try {
      for await (const info of this.#store.list(prefix)) {
        answered();
        yield info;
      }
    } finally {
      answered();
    }
  }

  removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    return this.#ask("list", () => this.#store.removeUnfinishedUploads(prefix, startedBeforeMs));
  }

  async #ask<Result>(kind: RequestKind, request: () => Promise<Result>): Promise<Result> {
    const answered = this.#begin(kind);
    try {
      return await request();
    } finally {
      answered();
    }
  }

  /** @returns What to call, once or more often, when the request is answered. */
  #begin(kind: RequestKind): () => void {
    const counts = this.#counts;
    const round = this.#answeredRound + 1;
    counts[kind] += 1;
    counts.requests += 1;
    counts.rounds = Math.max(counts.rounds, round);
    return () => {
      if (counts === this.#counts) this.#answeredRound = Math.max(this.#answeredRound, round);
    };
  }
}

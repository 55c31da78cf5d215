/** Counts what is asked of a blob store, so that tests can pin an operation's cost. */
import type {
  Blob,
  BlobInfo,
  BlobStore,
  BlobUpload,
  BlobVersion,
  WriteCondition,
} from "../../../lib/store/blob-store.ts";

const REQUEST_KINDS = [
  "read",
  "readIfChanged",
  "readRange",
  "readUpTo",
  // Whole blobs included.
  "readStream",
  "write",
  "startUpload",
  "completeUpload",
  "delete",
  "list",
] as const;

const NOTHING = {
  ...(Object.fromEntries(REQUEST_KINDS.map((kind) => [kind, 0])) as Record<RequestKind, number>),
  /** All of the above. */
  requests: 0,
  bytesRead: 0,
  bytesWritten: 0,
  /**
   * The longest chain of requests of which each began after another was answered: what latency multiplies. A stream is
   * answered with its first chunk.
   */
  rounds: 0,
};

export type StoreCounts = Readonly<typeof NOTHING>;

type RequestKind = (typeof REQUEST_KINDS)[number];

export class CountingBlobStore implements BlobStore {
  readonly #store: BlobStore;
  #counts = { ...NOTHING };
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

  read: BlobStore["read"] = (...args) => this.#ask("read", () => this.#store.read(...args), blobBytes);
  readIfChanged: BlobStore["readIfChanged"] = (...args) =>
    this.#ask("readIfChanged", () => this.#store.readIfChanged(...args), blobBytes);
  readRange: BlobStore["readRange"] = (...args) =>
    this.#ask(
      "readRange",
      () => this.#store.readRange(...args),
      (bytes) => bytes.length,
    );
  readUpTo: BlobStore["readUpTo"] = (...args) =>
    this.#ask(
      "readUpTo",
      () => this.#store.readUpTo(...args),
      (bytes) => bytes.length,
    );
  readStream: BlobStore["readStream"] = (...args) => this.#stream(() => this.#store.readStream(...args));
  streamWhole: BlobStore["streamWhole"] = (...args) => this.#stream(() => this.#store.streamWhole(...args));
  delete: BlobStore["delete"] = (...args) => this.#ask("delete", () => this.#store.delete(...args));
  removeUnfinishedUploads: BlobStore["removeUnfinishedUploads"] = (...args) =>
    this.#ask("list", () => this.#store.removeUnfinishedUploads(...args));

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

  /** @param sizeOf - How many bytes an answer has brought. */
  async #ask<Result>(
    kind: RequestKind,
    request: () => Promise<Result>,
    sizeOf: (result: Result) => number = () => 0,
  ): Promise<Result> {
    const answered = this.#begin(kind);
    try {
      const result = await request();
      this.#counts.bytesRead += sizeOf(result);
      return result;
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

function blobBytes(blob: Blob | "unchanged"): number {
  return blob === "unchanged" ? 0 : blob.bytes.length;
}

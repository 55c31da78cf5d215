/**
 * The port to an object store: whole blobs under keys, with compare-and-swap.
 * One contract suite, test/contract/blob-store.contract.ts, holds every implementation to these words.
 */

/** Opaque; equal versions of one key mean equal bytes. Writing the same bytes again may keep it, as an ETag on S3 does. */
export type BlobVersion = string;

export interface Blob {
  readonly bytes: Uint8Array;
  readonly version: BlobVersion;
}

export interface BlobInfo {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

export interface ReadOptions {
  /** Aborts the read: it rejects with the signal's reason, and its connection is freed. */
  readonly signal?: AbortSignal | undefined;
}

export interface WriteCondition {
  /** Write only over this version; `"absent"` means only if there is none. Without it: over anything. */
  readonly ifVersion?: BlobVersion | "absent";
}

/**
 * One blob being written in pieces of any size and of unknown total length. Nothing is visible before `complete`.
 * Memory is bounded whatever the length: a `write` resolves when the next piece is welcome, and the buffer may be used again.
 */
export interface BlobUpload {
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Makes the blob visible, whole.
   * @param head - Replaces the blob's first bytes; at most {@link MAX_UPLOAD_HEAD_BYTES} and no longer than the blob.
   *   A pack's header counts its objects, and the count is known only at its end.
   * @throws {VersionConflictError} Another writer was first. The upload is gone; start again.
   * @throws {RangeError} `head` is too long. The upload is gone.
   */
  complete(options?: { readonly head?: Uint8Array }): Promise<BlobVersion>;
  /** Gives up and frees what was stored. Safe at any time, also after `complete` (then without effect). */
  abort(): Promise<void>;
}

/** What an upload can replace at its start when it completes. */
export const MAX_UPLOAD_HEAD_BYTES = 4096;

/**
 * Keys are as `assertBlobKey` in blob-key.ts wants them, and none is the folder of another (`a` and `a/b`): folders can't
 * hold both. A wrong key is a bug in the caller, and throws a TypeError.
 * A write is visible at once and whole, or not at all; reads see the newest completed write.
 * Any call may fail for reasons of the store (network, disk): then with whatever that layer throws. A write that failed so may
 * have landed all the same, and a conditional one that was retried below this port may conflict with itself: read again.
 */
export interface BlobStore {
  /** @throws {NotFoundError} No such key. */
  read(key: string, options?: ReadOptions): Promise<Blob>;
  /**
   * @returns `"unchanged"` if the blob still has `knownVersion`.
   * @throws {NotFoundError} No such key.
   */
  readIfChanged(key: string, knownVersion: BlobVersion, options?: ReadOptions): Promise<Blob | "unchanged">;
  /**
   * Reads exactly `lengthBytes` bytes from `offsetBytes`.
   * @throws {NotFoundError} No such key.
   * @throws {RangeError} The range is not inside the blob.
   */
  readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array>;
  /**
   * Reads `maxBytes` bytes from `offsetBytes`, or as many as there are: for readers who don't know the blob's size.
   * @throws {NotFoundError} No such key.
   * @throws {RangeError} `offsetBytes` is at the end or past it, or `maxBytes` is not above 0.
   */
  readUpTo(key: string, offsetBytes: number, maxBytes: number, options?: ReadOptions): Promise<Uint8Array>;
  /**
   * The same range as chunks of any size, read only as they are pulled. Ending the iteration early frees the connection.
   * Errors as in `readRange`, at the first pull.
   */
  readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncIterable<Uint8Array>;
  /**
   * Streams a whole blob of unknown size with one request: the version that the first pull found, to its end.
   * @throws {NotFoundError} At the first pull: no such key.
   */
  streamWhole(key: string, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /**
   * Replaces the whole blob.
   * @returns The version written.
   * @throws {VersionConflictError} `ifVersion` did not hold. Read again, then retry.
   */
  write(key: string, bytes: Uint8Array, condition?: WriteCondition): Promise<BlobVersion>;
  /** Starts a streaming write. The condition is checked when it completes. */
  startUpload(key: string, condition?: WriteCondition): Promise<BlobUpload>;
  /** Removes the blob; no error if there is none. */
  delete(key: string): Promise<void>;
  /**
   * For what must be gone: deletes for good what the store keeps of replaced and deleted blobs whose keys start with `prefix`.
   * Absent where a store keeps nothing of them.
   */
  removeEarlierVersions?(prefix: string): Promise<void>;
  /** For janitors only, never on a request's path. Keys that start with `prefix`, in the order of their UTF-8 bytes. */
  list(prefix: string): AsyncIterable<BlobInfo>;
  /**
   * For janitors too: frees what uploads have stored that began before `startedBeforeMs` and did not end. A writer that still
   * lives then fails, at the latest when it completes; nothing half is ever visible.
   * @param prefix - Of the keys; a store that does not know the keys of unfinished uploads takes them all.
   * @returns How many uploads.
   */
  removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number>;
}

/** Reads and writes of whole blobs: all that documents need, and what a process that starts often may do without the SDK. */
export type WholeBlobs = Pick<BlobStore, "read" | "readIfChanged" | "write">;

/** A blob store in memory: the reference implementation, and the one that tests make misbehave. */
import { NotFoundError, VersionConflictError } from "../../../lib/errors.ts";
import { assertBlobKey, assertBlobPrefix } from "../../../lib/store/blob-key.ts";
import {
  type Blob,
  type BlobInfo,
  type BlobStore,
  type BlobUpload,
  type BlobVersion,
  MAX_UPLOAD_HEAD_BYTES,
  type ReadOptions,
  type WriteCondition,
} from "../../../lib/store/blob-store.ts";
import { assertRangeInside, lengthUpToEnd } from "../../../lib/store/byte-range.ts";
import { orAborted } from "../../../lib/store/shared-read.ts";
import { type BlobFaults, type CallFault, NO_FAULTS } from "./blob-faults.ts";

const STREAM_CHUNK_BYTES = 64 * 1024;

interface StoredBlob {
  readonly bytes: Uint8Array;
  readonly version: BlobVersion;
  readonly modifiedAtMs: number;
}

/** A write that its writer has got an answer for, and that is still under way. */
interface LateWrite {
  callsLeft: number;
  readonly land: () => unknown;
}

interface OpenUpload {
  readonly key: string;
  readonly startedAtMs: number;
}

export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, StoredBlob>();
  readonly #faults: BlobFaults;
  readonly #openUploads = new Map<MemoryUpload, OpenUpload>();
  #lateWrites: LateWrite[] = [];
  #writeCount = 0;

  constructor({ faults = NO_FAULTS }: { faults?: BlobFaults } = {}) {
    this.#faults = faults;
  }

  read(key: string, options?: ReadOptions): Promise<Blob> {
    return this.#read(key, options, () => {
      const { bytes, version } = this.#find(key);
      return { bytes: bytes.slice(), version };
    });
  }

  readIfChanged(key: string, knownVersion: BlobVersion, options?: ReadOptions): Promise<Blob | "unchanged"> {
    return this.#read(key, options, () => {
      const { bytes, version } = this.#find(key);
      return version === knownVersion ? "unchanged" : { bytes: bytes.slice(), version };
    });
  }

  readRange(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): Promise<Uint8Array> {
    return this.#read(key, options, () => {
      const { bytes } = this.#find(key);
      assertRangeInside(key, offsetBytes, lengthBytes, bytes.length);
      return bytes.slice(offsetBytes, offsetBytes + lengthBytes);
    });
  }

  readUpTo(key: string, offsetBytes: number, maxBytes: number, options?: ReadOptions): Promise<Uint8Array> {
    return this.#read(key, options, () => {
      const { bytes } = this.#find(key);
      return bytes.slice(offsetBytes, offsetBytes + lengthUpToEnd(key, offsetBytes, maxBytes, bytes.length));
    });
  }

  async *readStream(
    key: string,
    offsetBytes: number,
    lengthBytes: number,
    options?: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    yield* this.#chunksOf(key, await this.readRange(key, offsetBytes, lengthBytes, options), options);
  }

  async *streamWhole(key: string, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    yield* this.#chunksOf(key, (await this.read(key, options)).bytes, options);
  }

  async *#chunksOf(key: string, bytes: Uint8Array, { signal }: ReadOptions = {}): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < bytes.length; start += STREAM_CHUNK_BYTES) {
      if (start > 0) await this.#faults.before?.({ kind: "read", key });
      signal?.throwIfAborted();
      yield bytes.subarray(start, start + STREAM_CHUNK_BYTES);
    }
  }

  write(key: string, bytes: Uint8Array, condition: WriteCondition = {}): Promise<BlobVersion> {
    // Not slice(): of a Buffer, that is a view.
    const copy = new Uint8Array(bytes);
    return this.#call("write", key, () => this.#commit(key, copy, condition), condition);
  }

  startUpload(key: string, condition: WriteCondition = {}): Promise<BlobUpload> {
    const complete = (bytes: Uint8Array) =>
      this.#call("write", key, () => this.#commit(key, bytes, condition), condition);
    const beforePart = async () => this.#faults.before?.({ kind: "part", key });
    return this.#call("part", key, () => {
      const upload: MemoryUpload = new MemoryUpload(beforePart, complete, () =>
        this.#openUploads.delete(upload),
      );
      this.#openUploads.set(upload, { key, startedAtMs: Date.now() });
      return upload;
    });
  }

  delete(key: string): Promise<void> {
    return this.#call("delete", key, () => {
      this.#blobs.delete(key);
    });
  }

  async *list(prefix: string): AsyncGenerator<BlobInfo> {
    assertBlobPrefix(prefix);
    await this.#faults.before?.({ kind: "list", key: prefix });
    const keys = [...this.#blobs.keys()].filter((key) => key.startsWith(prefix));
    for (const key of keys.sort(compareUtf8)) {
      const blob = this.#blobs.get(key);
      if (blob !== undefined) {
        yield { key, sizeBytes: blob.bytes.length, modifiedAtMs: blob.modifiedAtMs };
      }
    }
  }

  async removeUnfinishedUploads(prefix: string, startedBeforeMs: number): Promise<number> {
    assertBlobPrefix(prefix);
    await this.#faults.before?.({ kind: "list", key: prefix });
    let count = 0;
    for (const [upload, { key, startedAtMs }] of this.#openUploads) {
      if (!key.startsWith(prefix) || startedAtMs >= startedBeforeMs) continue;
      await upload.abort();
      count += 1;
    }
    return count;
  }

  /** A delay that a fault causes ends when the signal aborts, as a wait for the network does. */
  #read<Result>(key: string, { signal }: ReadOptions = {}, action: () => Result): Promise<Result> {
    return orAborted(this.#call("read", key, action), signal);
  }

  async #call<Result>(
    kind: "read" | "write" | "part" | "delete",
    key: string,
    action: () => Result,
    condition: WriteCondition = {},
  ): Promise<Result> {
    assertBlobKey(key);
    const faultOnCall = await this.#faults.before?.({ kind, key });
    this.#landLateWrites();
    if (faultOnCall !== undefined && condition.ifVersion !== undefined) {
      this.#spoil(faultOnCall, key, action, condition);
    }
    const result = action();
    await this.#faults.after?.({ kind, key });
    return result;
  }

  #find(key: string): StoredBlob {
    const blob = this.#blobs.get(key);
    if (blob === undefined) throw new NotFoundError("blob not found", { key });
    return blob;
  }

  #commit(key: string, bytes: Uint8Array, { ifVersion }: WriteCondition): BlobVersion {
    const currentVersion = this.#blobs.get(key)?.version ?? "absent";
    if (ifVersion !== undefined && ifVersion !== currentVersion) {
      throw new VersionConflictError("blob has another version", { key, ifVersion });
    }
    this.#writeCount += 1;
    const version = `v${this.#writeCount}`;
    this.#blobs.set(key, { bytes, version, modifiedAtMs: Date.now() });
    return version;
  }

  #spoil(fault: CallFault, key: string, land: () => unknown, { ifVersion }: WriteCondition): void {
    if (fault === "lose-race") {
      this.#overtake(key);
      return;
    }
    this.#lateWrites.push({ callsLeft: fault.landsAfterCalls, land });
    throw new VersionConflictError("another write is under way", { key, ifVersion });
  }

  #landLateWrites(): void {
    for (const late of this.#lateWrites) {
      late.callsLeft -= 1;
      if (late.callsLeft > 0) continue;
      try {
        late.land();
      } catch (error) {
        // Its condition holds no more.
        if (!(error instanceof VersionConflictError)) throw error;
      }
    }
    this.#lateWrites = this.#lateWrites.filter(({ callsLeft }) => callsLeft > 0);
  }

  /** What another writer does who is a moment earlier: here, the same bytes again or an empty blob. */
  #overtake(key: string): void {
    this.#commit(key, this.#blobs.get(key)?.bytes ?? new Uint8Array(), {});
  }
}

class MemoryUpload implements BlobUpload {
  readonly #beforePart: () => Promise<unknown>;
  readonly #complete: (bytes: Uint8Array) => Promise<BlobVersion>;
  readonly #onEnd: () => unknown;
  #chunks: Uint8Array[] = [];
  #isOpen = true;

  constructor(
    beforePart: () => Promise<unknown>,
    complete: (bytes: Uint8Array) => Promise<BlobVersion>,
    onEnd: () => unknown,
  ) {
    this.#beforePart = beforePart;
    this.#complete = complete;
    this.#onEnd = onEnd;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.#isOpen) throw new Error("upload is closed");
    this.#chunks.push(new Uint8Array(bytes));
    await this.#beforePart();
  }

  async complete({ head = new Uint8Array() }: { readonly head?: Uint8Array } = {}): Promise<BlobVersion> {
    if (!this.#isOpen) throw new Error("upload is closed");
    const bytes = new Uint8Array(Buffer.concat(this.#chunks));
    await this.abort();
    if (head.length > MAX_UPLOAD_HEAD_BYTES || head.length > bytes.length) {
      throw new RangeError(`head of ${head.length} bytes is too long for a blob of ${bytes.length}`);
    }
    bytes.set(head);
    return this.#complete(bytes);
  }

  async abort(): Promise<void> {
    this.#isOpen = false;
    this.#chunks = [];
    this.#onEnd();
  }
}

function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

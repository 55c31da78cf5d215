/**
 * A blob of unknown length in parts of one size, a few of them in flight. Independent of the object store, which is called
 * to do through {@link MultipartTarget}.
 *
 * The first part is held back until the end, because `complete` may replace its beginning. A blob that fits in one part goes as
 * one plain write.
 */
import { LimitExceededError } from "../errors.ts";
import { type BlobUpload, type BlobVersion, MAX_UPLOAD_HEAD_BYTES } from "./blob-store.ts";

/** One part that the object store has. */
export interface StoredPart {
  readonly partNumber: number;
  readonly version: string;
}

/** What the object store does for an upload. */
export interface MultipartTarget {
  /** The whole blob in one request. */
  writeWhole(bytes: Uint8Array): Promise<BlobVersion>;
  /** @returns The id of a new multipart upload. */
  begin(): Promise<string>;
  /** @param partNumber - From 1. */
  writePart(uploadId: string, partNumber: number, bytes: Uint8Array): Promise<StoredPart>;
  /** @param parts - In order. */
  finish(uploadId: string, parts: readonly StoredPart[]): Promise<BlobVersion>;
  /** Frees the parts. */
  discard(uploadId: string): Promise<void>;
}

export type MultipartLimits = Readonly<typeof DEFAULT_MULTIPART_LIMITS>;

const DEFAULT_MULTIPART_LIMITS = {
  /** S3 takes 5 MiB and more, but for the last. Memory is this times `maxPartsInFlight` + 2. */
  partBytes: 8 * 1024 * 1024,
  /** Enough to fill a long line: 3 x 8 MiB are in flight at 1 Gbit/s and 200 ms. */
  maxPartsInFlight: 3,
  /** S3's limit; with parts of 8 MiB a blob may have 78 GiB, twenty times what Bitbucket lets a repository have. */
  maxParts: 10_000,
};

export class MultipartUpload implements BlobUpload {
  readonly #target: MultipartTarget;
  readonly #limits: MultipartLimits;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #storedParts: StoredPart[] = [];
  /** The first part, once there is more than one. */
  #firstPart: Uint8Array | undefined;
  #buffer: Uint8Array;
  #filledBytes = 0;
  #lastPartNumber = 1;
  #uploadId: Promise<string> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isOpen = true;

  constructor(target: MultipartTarget, limits: MultipartLimits = DEFAULT_MULTIPART_LIMITS) {
    this.#target = target;
    this.#limits = limits;
    this.#buffer = new Uint8Array(Math.min(limits.partBytes, FIRST_BUFFER_BYTES));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    let takenBytes = 0;
    while (takenBytes < bytes.length) {
      if (this.#filledBytes === this.#limits.partBytes) await this.#startNextPart();
      const wantedBytes = Math.min(bytes.length - takenBytes, this.#limits.partBytes - this.#filledBytes);
      this.#growBuffer(this.#filledBytes + wantedBytes);
      this.#buffer.set(bytes.subarray(takenBytes, takenBytes + wantedBytes), this.#filledBytes);
      this.#filledBytes += wantedBytes;
      takenBytes += wantedBytes;
    }
  }

  async complete({ head = new Uint8Array() }: { readonly head?: Uint8Array } = {}): Promise<BlobVersion> {
    this.#assertOpen();
    this.#isOpen = false;
    try {
      const lastPart = this.#buffer.subarray(0, this.#filledBytes);
      const firstPart = this.#firstPart ?? lastPart;
      if (head.length > MAX_UPLOAD_HEAD_BYTES || head.length > firstPart.length) {
        throw new RangeError(`head of ${head.length} bytes is too long for the blob`);
      }
      firstPart.set(head);
      if (this.#firstPart === undefined) return await this.#target.writeWhole(lastPart);
      return await this.#finishParts(this.#firstPart, lastPart);
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#discard();
  }

  async #finishParts(firstPart: Uint8Array, lastPart: Uint8Array): Promise<BlobVersion> {
    await this.#send(this.#lastPartNumber, lastPart);
    await this.#send(1, firstPart);
    await Promise.all(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure.error;
    const parts = this.#storedParts.sort((left, right) => left.partNumber - right.partNumber);
    return this.#target.finish(await this.#begin(), parts);
  }

  /** Called with the buffer full, and more to come. */
  async #startNextPart(): Promise<void> {
    if (this.#lastPartNumber === this.#limits.maxParts) {
      throw new LimitExceededError("blob has more parts than the store allows (maxParts)", {
        ...this.#limits,
      });
    }
    const full = this.#buffer;
    this.#buffer = new Uint8Array(this.#limits.partBytes);
    this.#filledBytes = 0;
    const partNumber = this.#lastPartNumber;
    this.#lastPartNumber += 1;
    if (partNumber === 1) this.#firstPart = full;
    else await this.#send(partNumber, full);
  }

  /** Starts sending a part, when there is room for one more. @throws What an earlier part failed with. */
  async #send(partNumber: number, bytes: Uint8Array): Promise<void> {
    while (this.#inFlight.size >= this.#limits.maxPartsInFlight) await Promise.race(this.#inFlight);
    if (this.#failure !== undefined) throw this.#failure.error;
    const sending = this.#writePart(partNumber, bytes).finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  /** Never rejects: a failure is thrown by the next call. */
  async #writePart(partNumber: number, bytes: Uint8Array): Promise<void> {
    try {
      this.#storedParts.push(await this.#target.writePart(await this.#begin(), partNumber, bytes));
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #begin(): Promise<string> {
    this.#uploadId ??= this.#target.begin();
    return this.#uploadId;
  }

  async #discard(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#buffer = new Uint8Array();
    this.#firstPart = undefined;
    try {
      if (this.#uploadId !== undefined) await this.#target.discard(await this.#uploadId);
    } catch {
      // The store expires what is left; the error that led here matters more.
    }
  }

  /** Most blobs are small: the buffer starts small and doubles up to a part. */
  #growBuffer(neededBytes: number): void {
    if (neededBytes <= this.#buffer.length) return;
    const grownBytes = Math.min(this.#limits.partBytes, Math.max(neededBytes, this.#buffer.length * 2));
    const grown = new Uint8Array(grownBytes);
    grown.set(this.#buffer.subarray(0, this.#filledBytes));
    this.#buffer = grown;
  }

  #assertOpen(): void {
    if (!this.#isOpen) throw new Error("upload is closed");
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

const FIRST_BUFFER_BYTES = 64 * 1024;

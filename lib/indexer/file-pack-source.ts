/** A pack in a local file that may still be growing; a reader that is ahead of the writer waits. */
import { readSync } from "node:fs";
import { CorruptPackError } from "../errors.ts";
import { PACK_TRAILER_BYTES } from "../git/pack/pack-format.ts";
import type { PackSource } from "../git/pack/pack-source.ts";

const WINDOW_BYTES = 2 ** 20;
/** A window with less left is refilled: most entries are then in one window. */
const SMALLEST_WINDOW_BYTES = 2 ** 14;

const AVAILABLE = 0;
const STATE = 1;
/** The end may be announced between a look at the cells and the wait: without a limit that wait would not end. */
const WAIT_LIMIT_MS = 50;
const COMPLETE = 1n;
const FAILED = 2n;

/** How much of the file has been written; shared by the thread that writes it and those that read. */
export class PackFileProgress {
  readonly shared: SharedArrayBuffer;
  readonly #cells: BigInt64Array;

  constructor(shared = new SharedArrayBuffer(16)) {
    this.shared = shared;
    this.#cells = new BigInt64Array(shared);
  }

  get availableBytes(): number {
    return Number(Atomics.load(this.#cells, AVAILABLE));
  }

  get isComplete(): boolean {
    return Atomics.load(this.#cells, STATE) === COMPLETE;
  }

  advance(availableBytes: number): void {
    Atomics.store(this.#cells, AVAILABLE, BigInt(availableBytes));
    Atomics.notify(this.#cells, AVAILABLE);
  }

  /** No more will come. */
  complete(availableBytes: number): void {
    Atomics.store(this.#cells, AVAILABLE, BigInt(availableBytes));
    this.#end(COMPLETE);
  }

  /** The writer gave up: readers throw. */
  fail(): void {
    this.#end(FAILED);
  }

  #end(state: bigint): void {
    Atomics.store(this.#cells, STATE, state);
    Atomics.notify(this.#cells, AVAILABLE);
  }

  /** Resolves when `bytes` are available or no more will come. @throws {CorruptPackError} The writer gave up. */
  async untilAvailable(bytes: number): Promise<void> {
    for (let available = this.#lacking(bytes); available !== undefined; available = this.#lacking(bytes))
      await Atomics.waitAsync(this.#cells, AVAILABLE, available, WAIT_LIMIT_MS).value;
  }

  /** Blocks until `bytes` are available or no more will come. @returns What is available. */
  waitFor(bytes: number): number {
    for (let available = this.#lacking(bytes); available !== undefined; available = this.#lacking(bytes))
      Atomics.wait(this.#cells, AVAILABLE, available, WAIT_LIMIT_MS);
    return this.availableBytes;
  }

  /** @returns What is available, if that is less than `bytes` and more may come. */
  #lacking(bytes: number): bigint | undefined {
    // In this order: what is available when no more will come is all.
    const state = Atomics.load(this.#cells, STATE);
    const available = Atomics.load(this.#cells, AVAILABLE);
    if (state === FAILED) throw new CorruptPackError("the pack's transfer was given up");
    return available >= bytes || state === COMPLETE ? undefined : available;
  }
}

export class FilePackSource implements PackSource {
  readonly #fileDescriptor: number;
  readonly #progress: PackFileProgress;
  #buffer = new Uint8Array(0);
  #bufferOffsetBytes = 0;
  #bufferedBytes = 0;

  constructor(fileDescriptor: number, progress: PackFileProgress) {
    this.#fileDescriptor = fileDescriptor;
    this.#progress = progress;
  }

  hasEntryAt(offsetBytes: number): boolean {
    const neededBytes = offsetBytes + PACK_TRAILER_BYTES + 1;
    return this.#progress.waitFor(neededBytes) >= neededBytes;
  }

  window(offsetBytes: number, atLeastBytes = 1): Uint8Array {
    const index = offsetBytes - this.#bufferOffsetBytes;
    const leftBytes = index < 0 ? 0 : this.#bufferedBytes - index;
    const window = this.#buffer.subarray(index, this.#bufferedBytes);
    if (leftBytes >= Math.max(atLeastBytes, SMALLEST_WINDOW_BYTES)) return window;
    const availableBytes = this.#progress.waitFor(offsetBytes + atLeastBytes);
    // Near the end of what there is, a refill would bring nothing new.
    if (leftBytes >= atLeastBytes && offsetBytes + leftBytes >= availableBytes) return window;
    this.#fill(offsetBytes, Math.min(WINDOW_BYTES, Math.max(0, availableBytes - offsetBytes)));
    return this.#buffer.subarray(0, this.#bufferedBytes);
  }

  #fill(offsetBytes: number, lengthBytes: number): void {
    this.#bufferOffsetBytes = offsetBytes;
    this.#bufferedBytes = 0;
    // Of a small pack that is here, no more than it has.
    if (this.#buffer.length < lengthBytes)
      this.#buffer = new Uint8Array(this.#progress.isComplete ? lengthBytes : WINDOW_BYTES);
    while (this.#bufferedBytes < lengthBytes) {
      const readBytes = readSync(
        this.#fileDescriptor,
        this.#buffer,
        this.#bufferedBytes,
        lengthBytes - this.#bufferedBytes,
        offsetBytes + this.#bufferedBytes,
      );
      if (readBytes === 0)
        throw new CorruptPackError("pack file is shorter than what was written to it", { offsetBytes });
      this.#bufferedBytes += readBytes;
    }
  }
}

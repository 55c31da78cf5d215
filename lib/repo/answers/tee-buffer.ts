/**
 * Bytes that one side adds and several read, each at its own pace: in memory while they are few, then in a local file without
 * a name. A slow reader costs nothing but the place on the disk.
 */
import { writeFully } from "../../store/file-upload.ts";
import { openUnnamedFile, type UnnamedFile } from "../../store/unnamed-file.ts";

/** What all tee buffers of a process may use. */
export class TeeBudget {
  readonly #maxBytes: number;
  readonly #maxMemoryBytes: number;
  #usedBytes = 0;
  #memoryBytes = 0;

  /** @param maxBytes - In memory and files. A function has 512 MB of disk. */
  constructor(maxBytes = 384 * 1024 * 1024, maxMemoryBytes = 32 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
    this.#maxMemoryBytes = maxMemoryBytes;
  }

  /** Then no further answer is shared, and one that is being made goes no further ahead of its readers. */
  get isUsedUp(): boolean {
    return this.#usedBytes >= this.#maxBytes;
  }

  hasMemoryFor(bytes: number): boolean {
    return this.#memoryBytes + bytes <= this.#maxMemoryBytes;
  }

  add(bytes: number, memoryBytes: number): void {
    this.#usedBytes += bytes;
    this.#memoryBytes += memoryBytes;
  }
}

/** What is kept in memory. Most shallow clones are smaller, and then no file is made. */
const MAX_MEMORY_BYTES = 1024 * 1024;
/** Of one read. */
const MAX_READ_BYTES = 256 * 1024;

export class TeeBuffer {
  readonly #folder: string | undefined;
  #memory: Uint8Array[] = [];
  #file: UnnamedFile | undefined;
  #lengthBytes = 0;
  readonly #budget: TeeBudget;
  #isClosed = false;

  /** @param folder - For the file. By default the system's. */
  constructor(folder: string | undefined, budget: TeeBudget = new TeeBudget()) {
    this.#folder = folder;
    this.#budget = budget;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** One call at a time. @param bytes - Not to be changed afterwards. */
  async append(bytes: Uint8Array): Promise<void> {
    const fits =
      this.#lengthBytes + bytes.length <= MAX_MEMORY_BYTES && this.#budget.hasMemoryFor(bytes.length);
    if (this.#file === undefined && !fits) {
      const file = await openUnnamedFile(this.#folder);
      await writeFully(file.handle, Buffer.concat(this.#memory), 0);
      this.#file = file;
      this.#memory = [];
      this.#budget.add(0, -this.#lengthBytes);
    }
    if (this.#file === undefined) this.#memory.push(bytes);
    else await writeFully(this.#file.handle, bytes, this.#lengthBytes);
    this.#lengthBytes += bytes.length;
    this.#budget.add(bytes.length, this.#file === undefined ? bytes.length : 0);
  }

  /** @returns Some bytes from there, at least one. @throws {RangeError} There are none yet. */
  async read(offsetBytes: number): Promise<Uint8Array> {
    if (offsetBytes >= this.#lengthBytes) throw new RangeError("read past the end of a tee buffer");
    if (this.#file === undefined) return this.#readMemory(offsetBytes);
    const bytes = new Uint8Array(Math.min(MAX_READ_BYTES, this.#lengthBytes - offsetBytes));
    const { bytesRead } = await this.#file.handle.read(bytes, 0, bytes.length, offsetBytes);
    if (bytesRead === 0) throw new Error("the file of a tee buffer was cut");
    return bytes.subarray(0, bytesRead);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed)
      this.#budget.add(-this.#lengthBytes, this.#file === undefined ? -this.#lengthBytes : 0);
    this.#isClosed = true;
    this.#memory = [];
    await this.#file?.[Symbol.asyncDispose]();
  }

  #readMemory(offsetBytes: number): Uint8Array {
    let startBytes = 0;
    for (const piece of this.#memory) {
      if (offsetBytes < startBytes + piece.length) return piece.subarray(offsetBytes - startBytes);
      startBytes += piece.length;
    }
    throw new RangeError("read from a tee buffer that is closed");
  }
}

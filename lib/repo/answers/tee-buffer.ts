/**
 * Bytes that one side adds and several read, each at its own pace: in memory while they are few, then in a local file without
 * a name. A slow reader costs nothing but the place on the disk.
 */
import { writeFully } from "../../store/file-upload.ts";
import { openUnnamedFile, type UnnamedFile } from "../../store/unnamed-file.ts";

/** Of what is free: the more others use, the less one caller may. */
const CALLER_SHARE = 1 / 2;

interface Used {
  bytes: number;
  memoryBytes: number;
}

/** What all tee buffers of a process may use, and of these the ones of one caller. */
export class TeeBudget {
  readonly #maxBytes: number;
  readonly #maxMemoryBytes: number;
  readonly #used: Used = { bytes: 0, memoryBytes: 0 };
  readonly #ofCaller = new Map<string, Used>();

  /** @param maxBytes - In memory and files. A function has 512 MB of disk. */
  constructor(maxBytes = 384 * 1024 * 1024, maxMemoryBytes = 32 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
    this.#maxMemoryBytes = maxMemoryBytes;
  }

  /** Then no further answer is shared, and one that is being made goes no further ahead of its readers. */
  get isUsedUp(): boolean {
    return this.#used.bytes >= this.#maxBytes;
  }

  /** The same for answers of this caller. @param caller - Absent for the mirror itself, which has no limit of its own. */
  isUsedUpBy(caller: string | undefined): boolean {
    const freeBytes = this.#maxBytes - this.#used.bytes;
    return this.isUsedUp || this.bytesOf(caller) > freeBytes * CALLER_SHARE;
  }

  bytesOf(caller: string | undefined): number {
    return (caller !== undefined && this.#ofCaller.get(caller)?.bytes) || 0;
  }

  hasMemoryFor(bytes: number, caller: string | undefined): boolean {
    const freeBytes = this.#maxMemoryBytes - this.#used.memoryBytes;
    const ofCaller = (caller !== undefined && this.#ofCaller.get(caller)?.memoryBytes) || 0;
    return bytes <= freeBytes && ofCaller <= freeBytes * CALLER_SHARE;
  }

  add(bytes: number, memoryBytes: number, caller: string | undefined): void {
    const ofCaller = (caller !== undefined && this.#ofCaller.get(caller)) || { bytes: 0, memoryBytes: 0 };
    for (const used of [this.#used, ofCaller]) {
      used.bytes += bytes;
      used.memoryBytes += memoryBytes;
    }
    if (caller === undefined) return;
    if (ofCaller.bytes > 0) this.#ofCaller.set(caller, ofCaller);
    else this.#ofCaller.delete(caller);
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
  #caller: string | undefined;
  #isClosed = false;

  /** @param folder - For the file. By default the system's. @param caller - To whom it counts. */
  constructor(folder: string | undefined, budget: TeeBudget = new TeeBudget(), caller?: string) {
    this.#folder = folder;
    this.#budget = budget;
    this.#caller = caller;
  }

  /** From now on it counts to this one. */
  countTo(caller: string | undefined): void {
    if (this.#isClosed || caller === this.#caller) return;
    const memoryBytes = this.#file === undefined ? this.#lengthBytes : 0;
    this.#budget.add(-this.#lengthBytes, -memoryBytes, this.#caller);
    this.#budget.add(this.#lengthBytes, memoryBytes, caller);
    this.#caller = caller;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** One call at a time. @param bytes - Not to be changed afterwards. */
  async append(bytes: Uint8Array): Promise<void> {
    const fits =
      this.#lengthBytes + bytes.length <= MAX_MEMORY_BYTES &&
      this.#budget.hasMemoryFor(bytes.length, this.#caller);
    if (this.#file === undefined && !fits) {
      const file = await openUnnamedFile(this.#folder);
      await writeFully(file.handle, Buffer.concat(this.#memory), 0);
      this.#file = file;
      this.#memory = [];
      this.#budget.add(0, -this.#lengthBytes, this.#caller);
    }
    if (this.#file === undefined) this.#memory.push(bytes);
    else await writeFully(this.#file.handle, bytes, this.#lengthBytes);
    this.#lengthBytes += bytes.length;
    this.#budget.add(bytes.length, this.#file === undefined ? bytes.length : 0, this.#caller);
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
    this.countTo(undefined);
    if (!this.#isClosed)
      this.#budget.add(-this.#lengthBytes, this.#file === undefined ? -this.#lengthBytes : 0, undefined);
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

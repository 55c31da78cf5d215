/**
 * Bytes that one side adds and several read, each at its own pace: in memory while they are few, then in a local file without
 * a name. A slow reader costs nothing but the place on the disk.
 */
import { writeFully } from "../../store/file-upload.ts";
import { openUnnamedFile, type UnnamedFile } from "../../store/unnamed-file.ts";

/** What is kept in memory. Most shallow clones are smaller, and then no file is made. */
const MAX_MEMORY_BYTES = 1024 * 1024;
/** Of one read. */
const MAX_READ_BYTES = 256 * 1024;

export class TeeBuffer {
  readonly #folder: string | undefined;
  #memory: Uint8Array[] = [];
  #file: UnnamedFile | undefined;
  #lengthBytes = 0;

  /** @param folder - For the file. By default the system's. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** One call at a time. @param bytes - Not to be changed afterwards. */
  async append(bytes: Uint8Array): Promise<void> {
    if (this.#file === undefined && this.#lengthBytes + bytes.length > MAX_MEMORY_BYTES) {
      const file = await openUnnamedFile(this.#folder);
      await writeFully(file.handle, Buffer.concat(this.#memory), 0);
      this.#file = file;
      this.#memory = [];
    }
    if (this.#file === undefined) this.#memory.push(bytes);
    else await writeFully(this.#file.handle, bytes, this.#lengthBytes);
    this.#lengthBytes += bytes.length;
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

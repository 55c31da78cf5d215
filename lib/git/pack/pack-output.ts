/** Collects the pieces of a pack being written into chunks of a good size, and hashes them. */
import { createHash } from "node:crypto";

const CHUNK_BYTES = 256 * 1024;
/** Less than this is copied out of a chunk, so that the rest of it can still be filled. */
const SMALL_BYTES = CHUNK_BYTES / 4;

export class PackOutput {
  readonly #hash = createHash("sha1");
  #chunk = new Uint8Array(CHUNK_BYTES);
  #usedBytes = 0;
  #takenBytes = 0;
  #finished: Uint8Array[] = [];

  /** Bytes of the pack so far: where the next piece will lie. */
  get offsetBytes(): number {
    return this.#takenBytes + this.#usedBytes;
  }

  /** Whether there is something to `take`. To be looked at after each piece, or memory grows. */
  get isFull(): boolean {
    return this.#finished.length > 0;
  }

  write(piece: Uint8Array): void {
    for (let doneBytes = 0; doneBytes < piece.length; ) {
      const part = piece.subarray(doneBytes, doneBytes + CHUNK_BYTES - this.#usedBytes);
      this.#chunk.set(part, this.#usedBytes);
      this.#usedBytes += part.length;
      doneBytes += part.length;
      if (this.#usedBytes === CHUNK_BYTES) this.#flush();
    }
  }

  /** Passes on a chunk that has a good size already, without a copy. */
  pass(chunk: Uint8Array): void {
    this.#flush();
    this.#finish(chunk);
  }

  /** The chunks that are full. */
  take(): readonly Uint8Array[] {
    const finished = this.#finished;
    this.#finished = [];
    return finished;
  }

  /** The rest, and the checksum. */
  end(): readonly Uint8Array[] {
    this.#flush();
    return [...this.take(), this.#hash.digest()];
  }

  #flush(): void {
    if (this.#usedBytes === 0) return;
    if (this.#usedBytes < SMALL_BYTES) {
      this.#finish(this.#chunk.slice(0, this.#usedBytes));
    } else {
      this.#finish(this.#chunk.subarray(0, this.#usedBytes));
      this.#chunk = new Uint8Array(CHUNK_BYTES);
    }
    this.#usedBytes = 0;
  }

  #finish(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#takenBytes += chunk.length;
    this.#finished.push(chunk);
  }
}

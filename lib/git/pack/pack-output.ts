/** Collects the pieces of a pack being written into chunks of a good size, and hashes them. */
import { createHash } from "node:crypto";

const CHUNK_BYTES = 256 * 1024;

export class PackOutput {
  readonly #hash = createHash("sha1");
  #chunk = new Uint8Array(CHUNK_BYTES);
  #usedBytes = 0;
  #takenBytes = 0;

  /** Bytes of the pack so far: where the next piece will lie. */
  get offsetBytes(): number {
    return this.#takenBytes + this.#usedBytes;
  }

  /** Yields what does not fit any more. */
  *write(piece: Uint8Array): Generator<Uint8Array, void, undefined> {
    for (let doneBytes = 0; doneBytes < piece.length; ) {
      const part = piece.subarray(doneBytes, doneBytes + CHUNK_BYTES - this.#usedBytes);
      this.#chunk.set(part, this.#usedBytes);
      this.#usedBytes += part.length;
      doneBytes += part.length;
      if (this.#usedBytes === CHUNK_BYTES) yield this.#take();
    }
  }

  /** Passes on a chunk that has a good size already, without a copy. */
  *pass(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    if (this.#usedBytes > 0) yield this.#take();
    this.#hash.update(chunk);
    this.#takenBytes += chunk.length;
    yield chunk;
  }

  /** Whether `piece` fits without a chunk becoming full; if so, takes it. */
  tryWrite(piece: Uint8Array): boolean {
    if (this.#usedBytes + piece.length >= CHUNK_BYTES) return false;
    this.#chunk.set(piece, this.#usedBytes);
    this.#usedBytes += piece.length;
    return true;
  }

  /** The rest, and the checksum. */
  *end(): Generator<Uint8Array, void, undefined> {
    if (this.#usedBytes > 0) yield this.#take();
    yield this.#hash.digest();
  }

  #take(): Uint8Array {
    const chunk = this.#chunk.subarray(0, this.#usedBytes);
    this.#hash.update(chunk);
    this.#takenBytes += this.#usedBytes;
    this.#chunk = new Uint8Array(CHUNK_BYTES);
    this.#usedBytes = 0;
    return chunk;
  }
}

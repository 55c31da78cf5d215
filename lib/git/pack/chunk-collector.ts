/** Collects pieces of any size into chunks of a good size. */
import { createHash } from "node:crypto";

const CHUNK_BYTES = 256 * 1024;
/** Less than this is copied out of a chunk, so that the rest of it can still be filled. */
const SMALL_BYTES = CHUNK_BYTES / 4;
/** From this length on, a piece is not copied. */
const MIN_PASSED_BYTES = 64 * 1024;

export class ChunkCollector {
  #chunk = new Uint8Array(CHUNK_BYTES);
  #usedBytes = 0;
  #finishedBytes = 0;
  #finished: Uint8Array[] = [];
  readonly #onChunk: ((chunk: Uint8Array) => void) | undefined;

  /** @param onChunk - Called with each chunk when it is full. */
  constructor(onChunk?: (chunk: Uint8Array) => void) {
    this.#onChunk = onChunk;
  }

  /** All bytes so far. */
  get offsetBytes(): number {
    return this.#finishedBytes + this.#usedBytes;
  }

  /** Whether there is something to `take`. To be looked at after each piece, or memory grows. */
  get isFull(): boolean {
    return this.#finished.length > 0;
  }

  /** Takes a piece that will not change any more: a long one without a copy. */
  pass(piece: Uint8Array): void {
    if (piece.length < MIN_PASSED_BYTES) {
      this.write(piece);
    } else {
      this.flush();
      this.#finish(piece);
    }
  }

  /** Takes a copy. */
  write(piece: Uint8Array): void {
    for (let doneBytes = 0; doneBytes < piece.length; ) {
      const part = piece.subarray(doneBytes, doneBytes + CHUNK_BYTES - this.#usedBytes);
      this.#chunk.set(part, this.#usedBytes);
      this.#usedBytes += part.length;
      doneBytes += part.length;
      if (this.#usedBytes === CHUNK_BYTES) this.flush();
    }
  }

  /** The chunks that are full. */
  take(): readonly Uint8Array[] {
    const finished = this.#finished;
    this.#finished = [];
    return finished;
  }

  /** Makes what is left a chunk. */
  flush(): void {
    if (this.#usedBytes === 0) return;
    const used = this.#chunk.subarray(0, this.#usedBytes);
    if (used.length < SMALL_BYTES) {
      this.#finish(used.slice());
    } else {
      this.#finish(used);
      this.#chunk = new Uint8Array(CHUNK_BYTES);
    }
    this.#usedBytes = 0;
  }

  #finish(chunk: Uint8Array): void {
    this.#onChunk?.(chunk);
    this.#finishedBytes += chunk.length;
    this.#finished.push(chunk);
  }
}

export class PackOutput extends ChunkCollector {
  readonly #hash;

  constructor() {
    const hash = createHash("sha1");
    super((chunk) => hash.update(chunk));
    this.#hash = hash;
  }

  /** The rest, and the checksum. */
  end(): readonly [...Uint8Array[], checksum: Uint8Array] {
    this.flush();
    return [...this.take(), this.#hash.digest()];
  }
}

/** Collects the pieces of a pack being written, and hashes them. */
import { createHash } from "node:crypto";
import { ChunkCollector } from "./chunk-collector.ts";

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

/** Reads pkt-lines out of chunks of any size. Holds one chunk and at most one line more. */
import { ProtocolError } from "../errors.ts";
import { type DecodedPktLine, decodePktLine } from "./pktline.ts";

export type PktLine =
  | { readonly kind: "data"; readonly payload: Uint8Array }
  | { readonly kind: "flush" | "delim" | "response-end" }
  /** The chunks ended between two lines. */
  | { readonly kind: "end" };

const EMPTY: Uint8Array = new Uint8Array(0);

export class PktLineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** Bytes received and not yet handed out. */
  #window: Uint8Array = EMPTY;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /**
   * The next line; `payload` may be a view into a chunk.
   * @throws {ProtocolError} A malformed line, or the chunks ended inside one.
   */
  async next(): Promise<PktLine> {
    for (;;) {
      const line = this.#decode();
      if (line.kind !== "incomplete") return line;
      if (await this.#fill(line.bytesNeeded)) continue;
      if (this.#window.length === 0) return { kind: "end" };
      throw new ProtocolError("the stream ended inside a pkt-line");
    }
  }

  /** The next line if it has arrived; else `next` waits for it. @throws {ProtocolError} A malformed line. */
  buffered(): PktLine | undefined {
    const line = this.#decode();
    return line.kind === "incomplete" ? undefined : line;
  }

  #decode(): DecodedPktLine {
    const decoded = decodePktLine(this.#window);
    if (decoded.kind !== "incomplete") this.#window = this.#window.subarray(decoded.bytesConsumed);
    return decoded;
  }

  /** Ends the source, so that it frees its connection. */
  async close(): Promise<void> {
    this.#window = EMPTY;
    await this.#chunks.return?.();
  }

  /** @returns Whether the window now holds `targetBytes`. */
  async #fill(targetBytes: number): Promise<boolean> {
    const pieces = [this.#window];
    let totalBytes = this.#window.length;
    while (totalBytes < targetBytes) {
      const step = await this.#chunks.next();
      if (step.done) break;
      pieces.push(step.value);
      totalBytes += step.value.length;
    }
    const nonEmpty = pieces.filter((piece) => piece.length > 0);
    this.#window = nonEmpty.length === 1 ? (nonEmpty[0] ?? EMPTY) : Buffer.concat(nonEmpty);
    return totalBytes >= targetBytes;
  }
}

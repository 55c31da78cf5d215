/** Parts of packs that are read in one go, each through one stream, the next few begun ahead. */
import type { PackNumber } from "../object-numbers.ts";
import { type StreamBudget, StreamPrefetch } from "./stream-prefetch.ts";

/** Read over rather than begin another stream: a store sends this in the time that it takes to answer. */
const MAX_GAP_BYTES = 256 * 1024;
/** What is collected where a store sends small pieces: few large writes cost far less than many. */
const MIN_FILLED_BYTES = 256 * 1024;
/** Streams begun: a store that takes 70 ms to answer is waited for at most eight times in 100 MB of pieces; few enough for a slow client to hold. */
const STREAMS_AHEAD = 28;

export interface ReadRange {
  readonly packNumber: PackNumber;
  readonly offsetBytes: number;
  endBytes: number;
}

export type OpenRange = (range: ReadRange) => AsyncIterable<Uint8Array>;

/** Plans to read a part after `ranges`, or as an extension of the last one. @returns The place of its range. */
export function addRange(
  ranges: ReadRange[],
  packNumber: PackNumber,
  offsetBytes: number,
  endBytes: number,
): number {
  const last = ranges.at(-1);
  const isNear =
    last?.packNumber === packNumber &&
    offsetBytes >= last.endBytes &&
    offsetBytes - last.endBytes <= MAX_GAP_BYTES;
  if (isNear) last.endBytes = endBytes;
  else ranges.push({ packNumber, offsetBytes, endBytes });
  return ranges.length - 1;
}

export class RangeStreams implements AsyncDisposable {
  readonly #ranges: readonly ReadRange[];
  readonly #streams: StreamPrefetch;
  #reader: RangeReader | undefined;
  #place = -1;

  constructor(ranges: readonly ReadRange[], open: OpenRange, budget: StreamBudget) {
    this.#ranges = ranges;
    this.#streams = new StreamPrefetch(
      ranges.map((range) => () => open(range)),
      STREAMS_AHEAD,
      budget,
    );
  }

  /** The reader of the range at this place, if it was the last one asked for. */
  current(place: number): RangeReader | undefined {
    return place === this.#place ? this.#reader : undefined;
  }

  /** The same, or the next one's. */
  async reader(place: number): Promise<RangeReader> {
    const current = this.current(place);
    if (current !== undefined) return current;
    await this.#reader?.close();
    this.#place += 1;
    const range = this.#ranges[this.#place];
    if (range === undefined || place !== this.#place)
      throw new RangeError("ranges are read one after the other");
    this.#reader = new RangeReader(range, this.#streams.next());
    return this.#reader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.close();
    await this.#streams[Symbol.asyncDispose]();
  }
}

export class RangeReader {
  readonly #range: ReadRange;
  readonly #chunks: AsyncGenerator<Uint8Array, void>;
  /** What has come, from `#offsetBytes` on. */
  #bytes: Uint8Array = new Uint8Array(0);
  #offsetBytes: number;
  /** What has come behind that. */
  #nextChunk: Uint8Array | undefined;

  constructor(range: ReadRange, chunks: AsyncGenerator<Uint8Array, void>) {
    this.#range = range;
    this.#chunks = chunks;
    this.#offsetBytes = range.offsetBytes;
  }

  /** @returns What has come from there on: at least one byte, a view. */
  async some(offsetBytes: number): Promise<Uint8Array> {
    return this.atHand(offsetBytes) ?? this.#passOver(offsetBytes);
  }

  /** As `some`, if something has come. */
  atHand(offsetBytes: number): Uint8Array | undefined {
    if (offsetBytes >= this.#offsetBytes + this.#bytes.length) return undefined;
    this.#bytes = this.#bytes.subarray(offsetBytes - this.#offsetBytes);
    this.#offsetBytes = offsetBytes;
    return this.#bytes;
  }

  /** As `some`, but at least so many bytes. */
  async fill(offsetBytes: number, neededBytes: number): Promise<Uint8Array> {
    const bytes = await this.some(offsetBytes);
    if (bytes.length >= neededBytes) return bytes;
    const leftBytes = this.#range.endBytes - offsetBytes;
    const wantedBytes = Math.max(neededBytes, Math.min(MIN_FILLED_BYTES, leftBytes));
    const pieces: Uint8Array[] = [bytes];
    for (let heldBytes = bytes.length; heldBytes < wantedBytes; ) {
      let piece = await this.#chunk();
      const lackingBytes = neededBytes - heldBytes;
      if (piece.length >= MIN_FILLED_BYTES && lackingBytes > 0 && lackingBytes < piece.length) {
        // A long piece is not copied, except the end of an entry that begins before it.
        this.#nextChunk = piece.subarray(lackingBytes);
        piece = piece.subarray(0, lackingBytes);
      }
      pieces.push(piece);
      heldBytes += piece.length;
      if (this.#nextChunk !== undefined) break;
    }
    this.#bytes = Buffer.concat(pieces);
    return this.#bytes;
  }

  /** Also where it was not read to its end. */
  async close(): Promise<void> {
    await this.#chunks.return();
  }

  async #passOver(offsetBytes: number): Promise<Uint8Array> {
    for (;;) {
      this.#offsetBytes += this.#bytes.length;
      this.#bytes = await this.#chunk();
      const bytes = this.atHand(offsetBytes);
      if (bytes !== undefined) return bytes;
    }
  }

  async #chunk(): Promise<Uint8Array> {
    const chunk = this.#nextChunk;
    this.#nextChunk = undefined;
    if (chunk !== undefined) return chunk;
    const step = await this.#chunks.next();
    if (step.done) throw new RangeError("a stream of a pack ended early");
    return step.value;
  }
}

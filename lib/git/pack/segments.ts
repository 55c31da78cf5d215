/** Parts of packs that are read in one go, each through one stream, the next few begun ahead. */
import { StartedStreams } from "./started-streams.ts";

/** Read over rather than begin another stream: a store sends this in the time that it takes to answer. */
const MAX_GAP_BYTES = 256 * 1024;
/** What is collected where a store sends small pieces: few large writes cost far less than many. */
const MIN_FILLED_BYTES = 256 * 1024;
/** Streams begun: enough to keep a store busy that takes 20 ms to answer, few enough for a slow client to hold. */
const STREAMS_AHEAD = 6;

export interface Segment {
  readonly packNumber: number;
  readonly offsetBytes: number;
  endBytes: number;
}

export type OpenSegment = (segment: Segment) => AsyncIterable<Uint8Array>;

/** What is read in the order in which it is planned. */
export class SegmentPlan {
  readonly segments: Segment[] = [];

  add(packNumber: number, offsetBytes: number, endBytes: number): void {
    const last = this.segments.at(-1);
    const isNear =
      last?.packNumber === packNumber &&
      offsetBytes >= last.endBytes &&
      offsetBytes - last.endBytes <= MAX_GAP_BYTES;
    if (isNear) last.endBytes = endBytes;
    else this.segments.push({ packNumber, offsetBytes, endBytes });
  }
}

export class SegmentStreams implements AsyncDisposable {
  readonly #segments: readonly Segment[];
  readonly #streams: StartedStreams;
  #begunCount = 0;
  #reader: SegmentReader | undefined;

  constructor(segments: readonly Segment[], open: OpenSegment) {
    this.#segments = segments;
    const opens = segments.map((segment) => () => open(segment));
    this.#streams = new StartedStreams(opens, STREAMS_AHEAD);
  }

  /** As `readerAt`, if that is the reader of what was read last. */
  readerNow(packNumber: number, offsetBytes: number): SegmentReader | undefined {
    return this.#reader?.holds(packNumber, offsetBytes) ? this.#reader : undefined;
  }

  /** @returns The reader that has what was planned there. What was planned before is not read any more. */
  async readerAt(packNumber: number, offsetBytes: number): Promise<SegmentReader> {
    while (this.#reader === undefined || !this.#reader.holds(packNumber, offsetBytes)) {
      await this.#reader?.close();
      const segment = this.#segments[this.#begunCount++];
      if (segment === undefined) throw new RangeError("nothing was planned to be read there");
      this.#reader = new SegmentReader(segment, this.#streams.next());
    }
    return this.#reader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.close();
    await this.#streams[Symbol.asyncDispose]();
  }
}

export class SegmentReader {
  readonly #segment: Segment;
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  /** What has come, from `#offsetBytes` on. */
  #bytes: Uint8Array = new Uint8Array(0);
  #offsetBytes: number;
  /** What has come behind that. */
  #nextChunk: Uint8Array | undefined;

  constructor(segment: Segment, chunks: AsyncGenerator<Uint8Array, void, undefined>) {
    this.#segment = segment;
    this.#chunks = chunks;
    this.#offsetBytes = segment.offsetBytes;
  }

  /** Whether that is still to be read here. */
  holds(packNumber: number, offsetBytes: number): boolean {
    const { packNumber: own, endBytes } = this.#segment;
    return packNumber === own && offsetBytes >= this.#offsetBytes && offsetBytes < endBytes;
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
    const leftBytes = this.#segment.endBytes - offsetBytes;
    const wantedBytes = Math.max(neededBytes, Math.min(MIN_FILLED_BYTES, leftBytes));
    const pieces: Uint8Array[] = [bytes];
    for (let heldBytes = bytes.length; heldBytes < wantedBytes; ) {
      let piece = await this.#chunk();
      const lackingBytes = neededBytes - heldBytes;
      if (piece.length >= MIN_FILLED_BYTES && lackingBytes > 0 && lackingBytes < piece.length) {
        // A long piece is used where it lies, but for the end of what begins before it.
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

/** Reads a large part of packs in order: as few long streams as the gaps allow, of which nothing is kept at hand. */
import type { EntryPlaces, PackReader } from "../ports.ts";
import { type EntryWindow, locateInSlices, MAX_WINDOW_BYTES } from "./entry-window.ts";
import { StartedStreams } from "./started-streams.ts";

/** Read over rather than begin another stream: a store sends this in the time that it takes to answer. */
const MAX_GAP_BYTES = 256 * 1024;
/** What is collected where a store sends small pieces: few large writes cost far less than many. */
const MIN_WINDOW_BYTES = 256 * 1024;
/** Streams begun: enough to keep a store busy that takes 20 ms to answer, few enough for a slow client to hold. */
const STREAMS_AHEAD = 6;

/** A part of a pack that is read in one go. */
export interface Segment {
  readonly packNumber: number;
  readonly offsetBytes: number;
  endBytes: number;
}

/**
 * As `readEntryWindows`.
 * @param segments - From `planSegments`, of the same objects.
 */
export async function* readStreamedWindows(
  packs: PackReader,
  objectNumbers: Uint32Array,
  segments: readonly Segment[],
): AsyncGenerator<EntryWindow, void, undefined> {
  const opens = segments.map(
    ({ packNumber, offsetBytes, endBytes }) =>
      () =>
        packs.streamPackRange(packNumber, offsetBytes, endBytes - offsetBytes),
  );
  await using streams = new StartedStreams(opens, STREAMS_AHEAD);
  let segmentNumber = -1;
  let reader: SegmentReader | undefined;
  try {
    for (const places of locateInSlices(packs, objectNumbers)) {
      for (let first = 0; first < places.offsets.length; ) {
        if (reader === undefined || !reader.holds(places, first)) {
          await reader?.close();
          const segment = segments[++segmentNumber];
          if (segment === undefined) throw new RangeError("an entry lies in no segment");
          reader = new SegmentReader(segment, streams.next());
        }
        const window = await reader.window(places, first);
        first = window.end;
        yield window;
      }
    }
  } finally {
    await reader?.close();
  }
}

/** @returns Also the sum of the entries' lengths. */
export function planSegments(
  packs: PackReader,
  objectNumbers: Uint32Array,
): { readonly segments: readonly Segment[]; readonly entryBytes: number } {
  const segments: Segment[] = [];
  let last: Segment | undefined;
  let entryBytes = 0;
  for (const { packNumbers, offsets, ends } of locateInSlices(packs, objectNumbers)) {
    for (let i = 0; i < offsets.length; i++) {
      const packNumber = packNumbers[i] as number;
      const offsetBytes = offsets[i] as number;
      entryBytes += (ends[i] as number) - offsetBytes;
      const endBytes = Math.min(ends[i] as number, offsetBytes + MAX_WINDOW_BYTES);
      if (last?.packNumber === packNumber && offsetBytes - last.endBytes <= MAX_GAP_BYTES) {
        last.endBytes = endBytes;
      } else {
        last = { packNumber, offsetBytes, endBytes };
        segments.push(last);
      }
    }
  }
  return { segments, entryBytes };
}

class SegmentReader {
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

  holds({ packNumbers, offsets }: EntryPlaces, place: number): boolean {
    const { packNumber, endBytes } = this.#segment;
    return packNumbers[place] === packNumber && (offsets[place] as number) < endBytes;
  }

  /** The entries from `first` on that have come; the first one is waited for. */
  async window(places: EntryPlaces, first: number): Promise<EntryWindow> {
    const { offsets, ends } = places;
    const offsetBytes = offsets[first] as number;
    let endBytes = Math.min(ends[first] as number, offsetBytes + MAX_WINDOW_BYTES);
    await this.#passOver(offsetBytes);
    await this.#fill(endBytes - offsetBytes);
    const filledBytes = offsetBytes + this.#bytes.length;
    let end = first + 1;
    for (; end < offsets.length; end++) {
      if (!this.holds(places, end) || (ends[end] as number) > filledBytes) break;
      endBytes = ends[end] as number;
    }
    const bytes = this.#bytes.subarray(0, endBytes - offsetBytes);
    const { packNumber } = this.#segment;
    return { places, first, end, packNumber, offsetBytes, bytes, isUnchecked: true };
  }

  /** Also where it was not read to its end. */
  async close(): Promise<void> {
    await this.#chunks.return();
  }

  async #passOver(offsetBytes: number): Promise<void> {
    while (this.#offsetBytes + this.#bytes.length < offsetBytes) {
      this.#offsetBytes += this.#bytes.length;
      this.#bytes = await this.#chunk();
    }
    this.#bytes = this.#bytes.subarray(offsetBytes - this.#offsetBytes);
    this.#offsetBytes = offsetBytes;
  }

  async #fill(neededBytes: number): Promise<void> {
    if (this.#bytes.length >= neededBytes) return;
    const leftBytes = this.#segment.endBytes - this.#offsetBytes;
    const wantedBytes = Math.max(neededBytes, Math.min(MIN_WINDOW_BYTES, leftBytes));
    const pieces: Uint8Array[] = [];
    let heldBytes = 0;
    for (let piece = this.#bytes; ; piece = await this.#chunk()) {
      if (heldBytes > 0 && piece.length >= MIN_WINDOW_BYTES && heldBytes < neededBytes) {
        // A long piece is used where it lies, but for the end of the entry that begins before it.
        this.#nextChunk = piece.subarray(neededBytes - heldBytes);
        piece = piece.subarray(0, neededBytes - heldBytes);
      }
      if (piece.length > 0) pieces.push(piece);
      heldBytes += piece.length;
      if (heldBytes >= (this.#nextChunk === undefined ? wantedBytes : neededBytes)) break;
    }
    const [only] = pieces;
    this.#bytes = pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
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

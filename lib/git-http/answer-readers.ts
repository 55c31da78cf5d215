/**
 * The answers that are being sent, and how fast each is read. While others wait for the memory that answers hold, those that are
 * hardly read are cut, of the caller who holds the most first; for a caller who holds none, slow ones are, too. No answer is cut
 * while none waits.
 */
import type { NeededRoom } from "../http/admission.ts";
import { ReadingPace } from "../reading-pace.ts";
import type { RequestCaller } from "./request-caller.ts";

export interface AnswerReader {
  /** Chunks as they are, whose reader is watched meanwhile. */
  watched(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
  /** What the answer takes until it is sent. */
  heldBytes: number;
}

interface WatchedReader extends AnswerReader {
  readonly caller: RequestCaller;
  readonly cut: () => void;
  readonly pace: ReadingPace;
}

/** Below this an answer may be cut for a caller who holds none. */
const SLOW_BYTES_PER_SECOND = 16 * 1024;
/** The same for callers with several answers. */
const SLOW_OF_SEVERAL_BYTES_PER_SECOND = 64 * 1024;

interface Held {
  bytes: number;
  count: number;
}

export class AnswerReaders {
  readonly #readers = new Set<WatchedReader>();
  readonly #now: () => number;

  /** @param now - In ms, a clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param cut - Ends the connection: may be called once, after the answer has begun. */
  add(caller: RequestCaller, cut: () => void): AnswerReader {
    const reader: WatchedReader = {
      ...{ caller, cut, heldBytes: 0, pace: new ReadingPace(this.#now) },
      watched: (chunks) => this.#watch(reader, chunks),
    };
    return reader;
  }

  /** Cuts readers until they have held what is needed, of the caller who holds the most first, the slowest first. */
  makeRoom({ weight: neededBytes, caller, onlyOf }: NeededRoom): void {
    const heldOf = new Map<string, Held>();
    for (const { caller: reader, heldBytes } of this.#readers) {
      const held = heldOf.get(reader.name) ?? { bytes: 0, count: 0 };
      heldOf.set(reader.name, { bytes: held.bytes + heldBytes, count: held.count + (heldBytes > 0 ? 1 : 0) });
    }
    const held = (reader: WatchedReader): Held => heldOf.get(reader.caller.name) ?? { bytes: 0, count: 0 };
    const isNewcomer = (heldOf.get(caller)?.bytes ?? 0) === 0;
    const mayCut = (reader: WatchedReader): boolean => {
      if (reader.heldBytes === 0 || (onlyOf !== undefined && !isOf(reader.caller, onlyOf))) return false;
      const slow = held(reader).count > 1 ? SLOW_OF_SEVERAL_BYTES_PER_SECOND : SLOW_BYTES_PER_SECOND;
      return reader.pace.isIdle || (isNewcomer && reader.pace.bytesPerSecond < slow);
    };
    const slowestOfMost = [...this.#readers]
      .filter(mayCut)
      .sort(
        (one, other) =>
          held(other).bytes - held(one).bytes || one.pace.bytesPerSecond - other.pace.bytesPerSecond,
      );
    let cutBytes = 0;
    for (const reader of slowestOfMost) {
      if (cutBytes >= neededBytes) return;
      cutBytes += reader.heldBytes;
      this.#readers.delete(reader);
      reader.cut();
    }
  }

  async *#watch(
    reader: WatchedReader,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#readers.add(reader);
    try {
      for await (const chunk of chunks) {
        reader.pace.given();
        yield chunk;
        reader.pace.taken(chunk.length);
      }
    } finally {
      this.#readers.delete(reader);
    }
  }
}

function isOf({ name, token, block }: RequestCaller, key: string): boolean {
  return name === key || token === key || block === key;
}

/**
 * The answers that are being sent, and how fast each is read. While others wait for the memory that answers hold, slow ones are cut, of
 * the caller who holds the most first. No answer is cut while none waits, and none that is read at the minimum rate.
 */
import type { NeededRoom } from "../http/admission.ts";
import type { RequestCaller } from "../request-caller.ts";
import { READING_SLACK, TransferPace } from "../transfer-pace.ts";

export interface AnswerReader {
  /** Chunks as they are, whose reader is watched meanwhile. */
  watched(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
  /** What the answer takes until it is sent. */
  heldBytes: number;
}

interface WatchedReader extends AnswerReader {
  readonly caller: RequestCaller;
  readonly cut: () => void;
  readonly pace: TransferPace;
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
      ...{ caller, cut, heldBytes: 0, pace: new TransferPace(READING_SLACK, this.#now) },
      watched: (chunks) => this.#watch(reader, chunks),
    };
    return reader;
  }

  /** Cuts slow readers until they have held what is needed, of the caller who holds the most first, the slowest first. */
  makeRoom(needed: readonly NeededRoom[]): void {
    let slow = this.#slowestOfMost();
    for (const { weight, onlyOf } of needed) {
      if (slow.length === 0) return;
      let cutBytes = 0;
      for (const reader of slow) {
        if (cutBytes >= weight) break;
        if (onlyOf !== undefined && !isOf(reader.caller, onlyOf)) continue;
        cutBytes += reader.heldBytes;
        this.#readers.delete(reader);
        reader.cut();
      }
      if (cutBytes > 0) slow = this.#slowestOfMost();
    }
  }

  /** In the order in which they are cut. */
  #slowestOfMost(): WatchedReader[] {
    const slow = [...this.#readers].filter(({ pace, heldBytes }) => heldBytes > 0 && pace.isSlow);
    if (slow.length === 0) return slow;
    const heldOf = new Map<string, number>();
    for (const { caller, heldBytes } of this.#readers)
      heldOf.set(caller.name, (heldOf.get(caller.name) ?? 0) + heldBytes);
    const held = ({ caller }: WatchedReader): number => heldOf.get(caller.name) ?? 0;
    return slow.sort((one, other) => held(other) - held(one) || one.pace.aheadMs - other.pace.aheadMs);
  }

  async *#watch(
    reader: WatchedReader,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#readers.add(reader);
    try {
      for await (const chunk of chunks) {
        reader.pace.waits();
        yield chunk;
        reader.pace.moved(chunk.length);
      }
    } finally {
      this.#readers.delete(reader);
    }
  }
}

function isOf({ name, token, block }: RequestCaller, key: string): boolean {
  return name === key || token === key || block === key;
}

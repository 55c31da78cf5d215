/**
 * The answers that are being sent, and how fast each is read. While others wait for the memory that answers hold, those that are
 * hardly read are cut, of the caller who holds the most first. A slow reader that reads is never cut, and nobody is while none waits.
 */

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

  /**
   * Cuts idle readers until they have held so much.
   * @param onlyOf - A caller, or one of its groups; `undefined`: of all.
   */
  cutIdle(neededBytes: number, onlyOf: string | undefined): void {
    const idle = [...this.#readers].filter(
      ({ caller, heldBytes, pace }) =>
        heldBytes > 0 && pace.isIdle && (onlyOf === undefined || isOf(caller, onlyOf)),
    );
    if (idle.length === 0) return;
    const heldBytesOf = new Map<string, number>();
    for (const { caller, heldBytes } of this.#readers)
      heldBytesOf.set(caller.name, (heldBytesOf.get(caller.name) ?? 0) + heldBytes);
    const held = ({ caller }: WatchedReader): number => heldBytesOf.get(caller.name) ?? 0;
    let cutBytes = 0;
    for (const reader of idle.sort((one, other) => held(other) - held(one))) {
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

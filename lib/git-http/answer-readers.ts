/**
 * The answers that are being sent, and how fast each is read. While others wait for the memory that answers hold, those that are
 * hardly read are cut, of the caller who holds the most first. A slow reader that reads is never cut, and nobody is while none waits.
 */

import type { RequestCaller } from "./request-caller.ts";

/** A reader that has taken less in this time is idle. A slow mobile link takes as much in 2 s. */
const IDLE_BYTES = 64 * 1024;
const IDLE_MS = 30_000;

export interface AnswerReader {
  /** Chunks as they are, whose reader is watched meanwhile. */
  watched(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
  /** What the answer takes until it is sent. */
  heldBytes: number;
}

interface WatchedReader extends AnswerReader {
  readonly caller: RequestCaller;
  readonly cut: () => void;
  /** How much longer it may take nothing, as of `givenAtMs`: each byte adds some time, up to `IDLE_MS`. */
  leftMs: number;
  /** When it was given what it has not taken yet. Our own work in between does not count. */
  givenAtMs: number | undefined;
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
      ...{ caller, cut, heldBytes: 0, leftMs: IDLE_MS, givenAtMs: undefined },
      watched: (chunks) => this.#watch(reader, chunks),
    };
    return reader;
  }

  /**
   * Cuts idle readers until they have held so much.
   * @param onlyOf - A caller, or one of its groups; `undefined`: of all.
   */
  cutIdle(neededBytes: number, onlyOf: string | undefined): void {
    const nowMs = this.#now();
    const idle = [...this.#readers].filter(
      ({ caller, leftMs, givenAtMs = nowMs }) =>
        (onlyOf === undefined || isOf(caller, onlyOf)) && nowMs - givenAtMs > leftMs,
    );
    if (idle.length === 0) return;
    const heldBytesOf = new Map<string, number>();
    for (const { caller, heldBytes } of this.#readers)
      heldBytesOf.set(caller.name, (heldBytesOf.get(caller.name) ?? 0) + heldBytes);
    const held = ({ caller }: WatchedReader): number => heldBytesOf.get(caller.name) ?? 0;
    let cutBytes = 0;
    for (const reader of idle.sort((one, other) => held(other) - held(one) || one.leftMs - other.leftMs)) {
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
        reader.givenAtMs = this.#now();
        yield chunk;
        const tookMs = this.#now() - reader.givenAtMs;
        reader.givenAtMs = undefined;
        reader.leftMs = Math.min(IDLE_MS, reader.leftMs - tookMs + (chunk.length * IDLE_MS) / IDLE_BYTES);
      }
    } finally {
      this.#readers.delete(reader);
    }
  }
}

function isOf({ name, token, block }: RequestCaller, key: string): boolean {
  return name === key || token === key || block === key;
}

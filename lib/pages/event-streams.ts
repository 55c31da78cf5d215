/** Server-sent events, for as many pages as fit. Source: WHATWG HTML, "Server-sent events". */
import { setTimeout as pause } from "node:timers/promises";
import { addressBlock } from "../http/address-block.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { streamResponse } from "./page-response.ts";

/** Pages that get none poll. Of an address, since an office may have one. */
const MAX_STREAMS = 500;
const MAX_STREAMS_OF_ADDRESS = 100;

/** As long as a yes of Bitbucket counts. */
const MAX_STREAM_MS = 60_000;
const RECONNECT_MS = 1_000;

export class EventStreams {
  readonly #intervalMs: number;
  readonly #countOf = new Map<string, number>();
  #count = 0;

  constructor({ intervalMs }: { readonly intervalMs: number }) {
    this.#intervalMs = intervalMs;
  }

  /**
   * @param read - What to send, whenever it has changed.
   * @returns `undefined` where too many are open, or there are none.
   */
  open(request: HttpRequest, read: () => Promise<object>): HttpResponse | undefined {
    const address = addressBlock(request.remoteAddress);
    if (this.#intervalMs === 0) return undefined;
    if (this.#count >= MAX_STREAMS || (this.#countOf.get(address) ?? 0) >= MAX_STREAMS_OF_ADDRESS)
      return undefined;
    return streamResponse("text/event-stream", this.#events(address, request.signal, read));
  }

  async *#events(
    address: string,
    signal: AbortSignal,
    read: () => Promise<object>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#count += 1;
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    try {
      yield Buffer.from(`retry: ${RECONNECT_MS}\n\n`);
      const untilMs = performance.now() + MAX_STREAM_MS;
      while (!signal.aborted && performance.now() < untilMs) {
        yield Buffer.from(`event: states\ndata: ${JSON.stringify(await read())}\n\n`);
        // Rejects only when the client has left, which ends the loop.
        await pause(this.#intervalMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      this.#count -= 1;
      const left = (this.#countOf.get(address) ?? 1) - 1;
      if (left > 0) this.#countOf.set(address, left);
      else this.#countOf.delete(address);
    }
  }
}

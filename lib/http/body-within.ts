/** Limits how long a request's body may take, and how much of a turn of the event loop. */
import { OverloadedError } from "../errors.ts";
import { untilAborted } from "../git/until-aborted.ts";
import { WorkSlices } from "../git/work-slices.ts";

export interface BodyTime {
  readonly maxMs: number;
  /** Before the first bytes, and the longest pause of a body that brings its bytes at the minimum rate. */
  readonly maxIdleMs: number;
}

/** Each second's worth of bytes gives a second more. */
const MIN_BYTES_PER_SECOND = 16 * 1024;

/** A body may come in chunks of a byte, thousands of which are at hand at once. */
const SMALL_CHUNK = { maxBytes: 1_024, steps: 10 } as const;

/**
 * @param cut - Its reason is thrown.
 * @throws {OverloadedError} 408, while iterating: the body does not arrive in time, or too slowly.
 */
export async function* bodyWithin(
  chunks: AsyncIterable<Uint8Array>,
  { maxMs, maxIdleMs }: BodyTime,
  cut?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const timeout = new AbortController();
  const startMs = performance.now();
  let receivedBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const check = () => {
    const allowedMs = Math.min(maxMs, maxIdleMs + (receivedBytes * 1000) / MIN_BYTES_PER_SECOND);
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs < allowedMs) {
      timer = setTimeout(check, Math.ceil(allowedMs - elapsedMs));
      return;
    }
    const text = `the request's body arrives too slowly: ${receivedBytes} bytes in ${Math.round(elapsedMs / 1000)} s`;
    timeout.abort(new OverloadedError(text, { status: 408 }));
  };
  check();
  cut?.addEventListener("abort", () => timeout.abort(cut.reason), { once: true });
  const slices = new WorkSlices({ signal: timeout.signal });
  try {
    for await (const chunk of untilAborted(chunks, timeout.signal)) {
      receivedBytes += chunk.length;
      const pause = chunk.length <= SMALL_CHUNK.maxBytes ? slices.spend(SMALL_CHUNK.steps) : undefined;
      if (pause !== undefined) await pause;
      yield chunk;
    }
  } catch (error) {
    throw timeout.signal.aborted ? timeout.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}

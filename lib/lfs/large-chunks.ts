/** Joins the chunks of a download: hashing and writing cost by the call. */

const CHUNK_BYTES = 512 * 1024;

interface JoinOptions {
  /** Of a chunk, if less than 512 KiB: what may come in all needs no larger ones. */
  readonly maxBytes: number;
  /** Called when bytes have come. */
  readonly onBytes?: () => void;
}

/** @returns Chunks that are valid until the next is asked for. What came before an error precedes it. */
export async function* inLargeChunks(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, onBytes }: JoinOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const size = Math.min(CHUNK_BYTES, maxBytes);
  let buffer: Buffer<ArrayBuffer> | undefined;
  let filled = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    try {
      for await (const chunk of chunks) {
        onBytes?.();
        let taken = 0;
        while (taken < chunk.length) {
          const rest = chunk.length - taken;
          if (filled === 0 && rest >= size) {
            yield taken === 0 ? chunk : chunk.subarray(taken);
            break;
          }
          buffer ??= Buffer.allocUnsafeSlow(size);
          const fits = Math.min(rest, size - filled);
          buffer.set(chunk.subarray(taken, taken + fits), filled);
          taken += fits;
          filled += fits;
          if (filled < size) continue;
          yield buffer;
          filled = 0;
        }
      }
    } catch (error) {
      failure = { error };
    }
    if (buffer !== undefined && filled > 0) yield buffer.subarray(0, filled);
  } finally {
    // Not left to the collector, which would let the buffers of many small files add up.
    buffer?.buffer.transfer(0);
  }
  if (failure !== undefined) throw failure.error;
}

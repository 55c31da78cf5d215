/** Bytes cut into chunks, for tests that must not depend on where. */
import fc from "fast-check";

/** Yields copies, so that nothing can lean on neighbouring bytes. */
export async function* chunksOf(bytes: Uint8Array, cutPoints: readonly number[]): AsyncGenerator<Uint8Array> {
  const cuts = [...new Set(cutPoints.map((point) => point % (bytes.length + 1)))].toSorted((a, b) => a - b);
  let start = 0;
  for (const end of [...cuts, bytes.length]) {
    yield bytes.slice(start, end);
    start = end;
  }
}

export const cutPoints = (): fc.Arbitrary<number[]> => fc.array(fc.nat(1_000_000), { maxLength: 12 });

export async function collect(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

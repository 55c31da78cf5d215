/**
 * Writes one pack out of all packs: their bodies as they are, one behind the other; deltas by offset move with them. Of a
 * pack that repeats objects of older ones, only the entries of the others are copied.
 */
import type { PackBody, PackedObjects } from "../ports.ts";
import { PackOutput } from "./chunk-collector.ts";
import { encodePackHeader, PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from "./pack-format.ts";
import { type StreamBudget, StreamPrefetch } from "./stream-prefetch.ts";
import { writeEntries } from "./write-pack.ts";

const MAX_STREAMS_AHEAD = 3;

/**
 * A single pack to which nothing was appended is sent as it is; else the header and the checksum are made anew.
 * @param openObjects - Of the same packs; asked for only where one has repeats.
 */
export async function* copyPacks(
  bodies: readonly PackBody[],
  openObjects: () => Promise<PackedObjects>,
  budget: StreamBudget,
): AsyncGenerator<Uint8Array, void> {
  const only = bodies.length === 1 ? bodies[0] : undefined;
  if (only !== undefined && !only.hasRepeats && only.sentEndBytes === only.packBytes - PACK_TRAILER_BYTES) {
    yield* only.stream(0, only.packBytes);
    return;
  }
  const whole = bodies.filter(({ hasRepeats }) => !hasRepeats);
  await using streams = new StreamPrefetch(
    whole.map((body) => () => body.stream(PACK_HEADER_BYTES, body.sentEndBytes - PACK_HEADER_BYTES)),
    MAX_STREAMS_AHEAD,
    budget,
  );
  const objects = bodies.some(({ hasRepeats }) => hasRepeats) ? await openObjects() : undefined;
  const parts = bodies.map((body, packNumber) =>
    body.hasRepeats ? objects?.packs.ownObjects(packNumber) : undefined,
  );
  const output = new PackOutput();
  const objectCount = bodies.reduce(
    (count, body, i) => count + (parts[i]?.length ?? body.sentObjectCount),
    0,
  );
  output.write(encodePackHeader(objectCount));
  for (const objectNumbers of parts) {
    if (objects !== undefined && objectNumbers !== undefined) {
      // A base that is not in this part is in one before.
      yield* writeEntries(output, {
        objects,
        objectNumbers,
        clientHas: () => true,
        ofsDelta: true,
        isThin: false,
      });
      continue;
    }
    for await (const chunk of streams.next()) {
      output.pass(chunk);
      yield* output.take();
    }
  }
  yield* output.end();
}

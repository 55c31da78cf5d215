/** Makes a pack again by its recipe. */
import { ChunkCollector } from "./chunk-collector.ts";
import type { PackRecipe } from "./pack-recipe.ts";
import { type OpenRange, RangePlan, RangeStreams } from "./range-coalescing.ts";
import type { StreamBudget } from "./stream-prefetch.ts";

/** @param open - Opens a part of the pack at the same place in `packIds`. */
export async function* copyRecipe(
  { literalEnds, copyPacks, copyOffsets, copyLengths, literals }: PackRecipe,
  open: OpenRange,
  budget: StreamBudget,
): AsyncGenerator<Uint8Array, void, undefined> {
  const plan = new RangePlan();
  const places = new Uint32Array(copyOffsets.length);
  for (let step = 0; step < copyOffsets.length; step++) {
    const offsetBytes = copyOffsets[step] as number;
    const lengthBytes = copyLengths[step] as number;
    if (lengthBytes > 0)
      places[step] = plan.add(copyPacks[step] as number, offsetBytes, offsetBytes + lengthBytes);
  }
  await using streams = new RangeStreams(plan.segments, open, budget);
  const output = new ChunkCollector();
  let literalStart = 0;
  for (let step = 0; step < copyOffsets.length; step++) {
    output.write(literals.subarray(literalStart, literalEnds[step]));
    literalStart = literalEnds[step] as number;
    let offsetBytes = copyOffsets[step] as number;
    const endBytes = offsetBytes + (copyLengths[step] as number);
    if (offsetBytes === endBytes) continue;
    const place = places[step] as number;
    const reader = streams.current(place) ?? (await streams.reader(place));
    while (offsetBytes < endBytes) {
      const bytes = reader.atHand(offsetBytes) ?? (await reader.some(offsetBytes));
      const part = bytes.subarray(0, endBytes - offsetBytes);
      output.pass(part);
      offsetBytes += part.length;
      if (output.isFull) yield* output.take();
    }
  }
  output.flush();
  yield* output.take();
}

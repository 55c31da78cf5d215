/** Writes a pack of chosen objects out of packs that there are. */

import { PackOutput } from "./chunk-collector.ts";
import { planEntryReading } from "./entry-windows.ts";
import { EntryWriter, type EntryWriterOptions } from "./entry-writer.ts";
import { encodePackHeader } from "./pack-format.ts";
import { ReadAhead } from "./read-ahead.ts";

/** In steps of `WorkSlices`. */
const STEPS_PER_ENTRY = 2;
const BYTES_PER_STEP = 1024;
/** Put into order in a step. */
const SORTED_A_STEP = 50;

/** @throws {CorruptPackError} While iterating: an entry is broken. */
export async function* writePack(options: EntryWriterOptions): AsyncGenerator<Uint8Array, void> {
  const output = new PackOutput();
  const header = encodePackHeader(options.objectNumbers.length);
  output.write(header);
  options.recorder?.literal(header);
  yield* writeEntries(output, options);
  const rest = output.end();
  options.recorder?.literal(rest.at(-1) ?? header);
  yield* rest;
}

/**
 * A part of a pack: bases by distance are only those of the same part. Leaves in `output` what is not enough for a chunk.
 * @throws {CorruptPackError} As `writePack`.
 */
export async function* writeEntries(
  output: PackOutput,
  options: EntryWriterOptions,
): AsyncGenerator<Uint8Array, void> {
  const { objects, objectNumbers } = options;
  // With all blocks in memory nothing else here waits, and many answers at once would hold the event loop.
  const { slices } = objects;
  await slices.spend(objectNumbers.length / SORTED_A_STEP);
  objects.packs.sortByPlace(objectNumbers);
  const { windows, isCached } = await planEntryReading(objects, objectNumbers);
  const ahead = new ReadAhead({ ...options, isCached });
  let writtenCount = 0;
  ahead.advance(writtenCount);
  const writer = new EntryWriter(output, options);
  for await (const window of windows) {
    yield* writer.copyWindow(window);
    writtenCount += window.end - window.first;
    ahead.advance(writtenCount);
    const steps = STEPS_PER_ENTRY * (window.end - window.first) + window.bytes.length / BYTES_PER_STEP;
    await slices.spend(steps);
  }
}

/** Writes a pack of chosen objects out of packs that there are. */

import { nextTurn, WorkSlices } from "../work-slices.ts";
import { PackOutput } from "./chunk-collector.ts";
import { planEntryReading } from "./entry-windows.ts";
import { EntryWriter, type EntryWriterOptions } from "./entry-writer.ts";
import { encodePackHeader } from "./pack-format.ts";
import { ReadAhead } from "./read-ahead.ts";

/** What a slice of work counts, each about a microsecond. */
const STEPS_PER_ENTRY = 4;
const BYTES_PER_STEP = 1024;

/** @throws {CorruptPackError} While iterating: an entry is broken. */
export async function* writePack(options: EntryWriterOptions): AsyncGenerator<Uint8Array, void, undefined> {
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
): AsyncGenerator<Uint8Array, void, undefined> {
  const { objects, objectNumbers } = options;
  // With all blocks in memory nothing else here waits, and many answers at once would hold the event loop.
  await nextTurn();
  objects.packs.sortByPlace(objectNumbers);
  const { windows, isCached } = planEntryReading(objects.packs, objectNumbers);
  const ahead = new ReadAhead({ ...options, isCached });
  const slices = new WorkSlices();
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

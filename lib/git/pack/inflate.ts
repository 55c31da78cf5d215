/** Inflates the zlib streams of pack entries, whose ends only inflating can find. Source: gitformat-pack(5). */
import { crc32, inflateSync } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";
import type { PackSource } from "./pack-source.ts";
import { openZlibStepper, type ZlibStepper } from "./zlib-stepper.ts";

export interface InflatedEntry {
  /** Length of the zlib stream in the pack. */
  readonly compressedBytes: number;
  /** CRC-32 of the zlib stream, continued from the `crc` given. */
  readonly crc: number;
}

export interface EntryStream {
  readonly source: PackSource;
  /** Where the zlib stream begins. */
  readonly offsetBytes: number;
  /** What the entry's head declares. */
  readonly inflatedBytes: number;
  /** CRC-32 of the bytes before, to be continued. */
  readonly crc?: number;
}

/** Holds one zlib state: one caller at a time, one inflater per thread. */
export class EntryInflater {
  readonly #stepper: ZlibStepper | undefined;

  /** @param portable - Use documented calls only, as where Node lacks the fast ones. */
  constructor({ portable = false } = {}) {
    this.#stepper = portable ? undefined : openZlibStepper();
  }

  /**
   * Inflates into `output[outputStart..]`, which needs room for one byte more than declared: the byte more shows a
   * stream that is longer than it says.
   * @throws {CorruptPackError} The stream is broken, cut off, or not as long as declared.
   */
  inflate(entry: EntryStream, output: Uint8Array, outputStart: number): InflatedEntry {
    const stepper = this.#stepper;
    if (stepper === undefined) return inflatePortably(entry, (bytes) => output.set(bytes, outputStart));
    const outputEnd = outputStart + entry.inflatedBytes + 1;
    let outputIndex = outputStart;
    stepper.reset();
    return consumeStream(entry, (window) => {
      stepper.step(window, 0, output, outputIndex, outputEnd - outputIndex);
      outputIndex += stepper.producedBytes;
      if (outputIndex === outputEnd) throw tooLong(entry);
      return { consumedBytes: stepper.consumedBytes, totalProducedBytes: outputIndex - outputStart };
    });
  }

  /**
   * As `inflate`, for streams too large to hold: `onPiece` gets the bytes in order, each piece valid during the call.
   * @param scratch - Sets the size of a piece; at least 1 byte.
   */
  inflatePieces(
    entry: EntryStream,
    scratch: Uint8Array,
    onPiece: (piece: Uint8Array) => void,
  ): InflatedEntry {
    const stepper = this.#stepper;
    if (stepper === undefined) return inflatePortably(entry, onPiece);
    let totalProducedBytes = 0;
    stepper.reset();
    return consumeStream(entry, (window) => {
      let consumedBytes = 0;
      do {
        stepper.step(window, consumedBytes, scratch, 0, scratch.length);
        consumedBytes += stepper.consumedBytes;
        totalProducedBytes += stepper.producedBytes;
        if (totalProducedBytes > entry.inflatedBytes) throw tooLong(entry);
        if (stepper.producedBytes > 0) onPiece(scratch.subarray(0, stepper.producedBytes));
        // A full piece: the same input may hold more output.
      } while (stepper.producedBytes === scratch.length);
      return { consumedBytes, totalProducedBytes };
    });
  }
}

/** Feeds `step` the entry's bytes, window by window, until the stream ends. */
function consumeStream(
  entry: EntryStream,
  step: (window: Uint8Array) => { readonly consumedBytes: number; readonly totalProducedBytes: number },
): InflatedEntry {
  let offsetBytes = entry.offsetBytes;
  let crc = entry.crc ?? 0;
  for (;;) {
    const window = entry.source.window(offsetBytes);
    if (window.length === 0)
      throw new CorruptPackError("pack ends inside an entry", { offsetBytes: entry.offsetBytes });
    const { consumedBytes, totalProducedBytes } = step(window);
    offsetBytes += consumedBytes;
    crc = crc32(window.subarray(0, consumedBytes), crc);
    // zlib leaves input unused only where its stream has ended.
    if (consumedBytes === window.length) continue;
    if (totalProducedBytes !== entry.inflatedBytes) {
      throw new CorruptPackError("entry inflates to less than its declared size", {
        offsetBytes: entry.offsetBytes,
        declaredBytes: entry.inflatedBytes,
        inflatedBytes: totalProducedBytes,
      });
    }
    return { compressedBytes: offsetBytes - entry.offsetBytes, crc };
  }
}

function tooLong(entry: EntryStream, cause?: unknown): CorruptPackError {
  return new CorruptPackError("entry inflates past its declared size", {
    offsetBytes: entry.offsetBytes,
    declaredBytes: entry.inflatedBytes,
    cause,
  });
}

/** `inflateSync` cannot continue where it stopped, so the windows are kept until they are enough. */
function inflatePortably(entry: EntryStream, onInflated: (bytes: Uint8Array) => void): InflatedEntry {
  let input: Uint8Array = new Uint8Array(0);
  let bytes = input;
  const result = consumeStream(entry, (window) => {
    const earlierBytes = input.length;
    input = Buffer.concat([input, window]);
    const inflated = tryInflateSync(entry, input);
    if (inflated === undefined) return { consumedBytes: window.length, totalProducedBytes: 0 };
    bytes = inflated.buffer;
    return { consumedBytes: inflated.engine.bytesWritten - earlierBytes, totalProducedBytes: bytes.length };
  });
  onInflated(bytes);
  return result;
}

/** What `info: true` makes `inflateSync` return; @types/node does not know it. */
interface InflatedWithInfo {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

/** @returns `undefined` if the input is cut off. */
function tryInflateSync(entry: EntryStream, input: Uint8Array): InflatedWithInfo | undefined {
  try {
    const options = { info: true, maxOutputLength: entry.inflatedBytes + 1 };
    const inflated = inflateSync(input, options) as unknown as InflatedWithInfo;
    if (inflated.buffer.length > entry.inflatedBytes) throw tooLong(entry);
    return inflated;
  } catch (error) {
    if (error instanceof CorruptPackError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "Z_BUF_ERROR") return undefined;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLong(entry, error);
    throw new CorruptPackError("entry does not inflate", { offsetBytes: entry.offsetBytes, cause: error });
  }
}

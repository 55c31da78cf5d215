/** Deflates the content of pack entries. Source: RFC 1950. */
import { constants, createDeflate, deflateSync } from "node:zlib";
import { openZlibStepper, type ZlibStepper } from "./zlib-stepper.ts";

/** What zlib's own `compressBound` allows beyond the input, rounded up. */
function maxDeflatedBytes(inputBytes: number): number {
  return inputBytes + Math.ceil(inputBytes / 1000) + 64;
}

/** Holds one zlib state: an entry costs a fraction of what `deflateSync` costs. */
export class EntryDeflater {
  readonly #stepper: ZlibStepper | undefined;
  #output = new Uint8Array(4096);

  /** @param portable - Use documented calls only, as where Node lacks the fast ones. */
  constructor({ portable = false } = {}) {
    this.#stepper = portable ? undefined : openZlibStepper("deflate");
  }

  /** @returns The zlib stream, valid until the next call. */
  deflate(bytes: Uint8Array): Uint8Array {
    const stepper = this.#stepper;
    if (stepper === undefined) return deflateSync(bytes);
    const roomBytes = maxDeflatedBytes(bytes.length);
    if (this.#output.length < roomBytes) this.#output = new Uint8Array(roomBytes);
    stepper.reset();
    stepper.step(bytes, 0, this.#output, 0, this.#output.length, constants.Z_FINISH);
    return this.#output.subarray(0, stepper.producedBytes);
  }
}

/** The zlib stream of content too large to be deflated in one go, made as it is read. */
export async function* deflateInPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  const stream = createDeflate();
  stream.end(bytes);
  yield* stream as AsyncIterable<Uint8Array>;
}

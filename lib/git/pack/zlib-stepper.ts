/**
 * One zlib state that is reset and reused: an entry costs a fraction of what `inflateSync` costs.
 * Node does not document the handle this uses; `openZlibStepper` says when it is missing.
 */
import { constants, createDeflate, createInflate } from "node:zlib";
import { CorruptPackError } from "../../errors.ts";

/** What `createInflate()` and `createDeflate()` are made of in Node 20 to 26. */
interface NativeHandle {
  reset(): void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputStart: number,
    inputBytes: number,
    output: Uint8Array,
    outputStart: number,
    outputBytes: number,
  ): void;
  onerror: (message: string) => void;
}

export class ZlibStepper {
  /** Input used by the last step. */
  consumedBytes = 0;
  /** Output made by the last step. */
  producedBytes = 0;
  readonly #handle: NativeHandle;
  /** Room left in the output, then input left, after a write. */
  readonly #state: Uint32Array;
  #failure: string | undefined;

  constructor(handle: NativeHandle, state: Uint32Array) {
    this.#handle = handle;
    this.#state = state;
    handle.onerror = (message) => {
      this.#failure = message;
    };
  }

  reset(): void {
    this.#handle.reset();
  }

  /**
   * Continues the stream until the input is used, the output is full, or the stream ends.
   * @param flush - `Z_FINISH` for the last of what is deflated.
   * @throws {CorruptPackError} Inflating: not a zlib stream, or its checksum is wrong.
   */
  step(
    input: Uint8Array,
    inputStart: number,
    output: Uint8Array,
    outputStart: number,
    outputBytes: number,
    flush: number = constants.Z_SYNC_FLUSH,
  ): void {
    const inputBytes = input.length - inputStart;
    this.#failure = undefined;
    this.#handle.writeSync(flush, input, inputStart, inputBytes, output, outputStart, outputBytes);
    if (this.#failure !== undefined)
      throw new CorruptPackError("entry does not inflate", { zlib: this.#failure });
    this.producedBytes = outputBytes - (this.#state[0] ?? 0);
    this.consumedBytes = inputBytes - (this.#state[1] ?? 0);
  }
}

/** @returns `undefined` where this version of Node has no such handle. */
export function openZlibStepper(direction: "inflate" | "deflate" = "inflate"): ZlibStepper | undefined {
  const stream = (direction === "inflate" ? createInflate() : createDeflate()) as unknown as {
    _handle?: Partial<NativeHandle>;
    _writeState?: unknown;
  };
  const { _handle: handle, _writeState: state } = stream;
  if (typeof handle?.writeSync !== "function" || typeof handle.reset !== "function") return undefined;
  if (!(state instanceof Uint32Array)) return undefined;
  return new ZlibStepper(handle as NativeHandle, state);
}

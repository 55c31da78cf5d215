import { overloaded, tooMany } from "./admission.ts";

/** Bytes that several tasks hold, of each caller and in all. */
export class ByteBudget {
  readonly #maxBytes: number;
  readonly #maxBytesOfCaller: number;
  readonly #ofCaller = new Map<string, number>();
  #usedBytes = 0;

  constructor(maxBytes: number, maxBytesOfCaller: number) {
    this.#maxBytes = maxBytes;
    this.#maxBytesOfCaller = maxBytesOfCaller;
  }

  /** @throws {OverloadedError} There are not so many left. */
  take(caller: string, bytes: number): void {
    const ofCaller = (this.#ofCaller.get(caller) ?? 0) + bytes;
    if (ofCaller > this.#maxBytesOfCaller) throw tooMany("of yours");
    if (this.#usedBytes + bytes > this.#maxBytes) throw overloaded();
    this.#usedBytes += bytes;
    this.#ofCaller.set(caller, ofCaller);
  }

  release(caller: string, bytes: number): void {
    this.#usedBytes -= bytes;
    const left = (this.#ofCaller.get(caller) ?? 0) - bytes;
    if (left > 0) this.#ofCaller.set(caller, left);
    else this.#ofCaller.delete(caller);
  }
}

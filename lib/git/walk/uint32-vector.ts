/** A list of unsigned 32-bit numbers that grows: four bytes each, whatever their count. */
export class Uint32Vector {
  #values = new Uint32Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Uint32Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  /** The numbers so far: a view. */
  values(): Uint32Array {
    return this.#values.subarray(0, this.#length);
  }
}

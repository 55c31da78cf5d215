/** A set of object ids in flat memory: 21 bytes an id and no objects, so that millions cost no garbage. */
import { OBJECT_ID_BYTES } from "../object-id.ts";

const WORDS = OBJECT_ID_BYTES / 4;
const SMALLEST_CAPACITY = 1024;

/** Each id carries the union of the flags it was added with; flags are 1 to 255. */
export class ObjectIdSet {
  #words = new Uint32Array(SMALLEST_CAPACITY * WORDS);
  /** 0 marks a free slot. */
  #flags = new Uint8Array(SMALLEST_CAPACITY);
  #capacity = SMALLEST_CAPACITY;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds the id at `bytes[start]`. */
  add(bytes: Uint8Array, start: number, flags: number): void {
    const w0 = word(bytes, start);
    const words = this.#words;
    const mask = this.#capacity - 1;
    let slot = w0 & mask;
    for (;;) {
      const known = this.#flags[slot] as number;
      const at = slot * WORDS;
      if (known === 0) break;
      if (
        words[at] === w0 &&
        words[at + 1] === word(bytes, start + 4) &&
        words[at + 2] === word(bytes, start + 8) &&
        words[at + 3] === word(bytes, start + 12) &&
        words[at + 4] === word(bytes, start + 16)
      ) {
        this.#flags[slot] = known | flags;
        return;
      }
      slot = (slot + 1) & mask;
    }
    for (let i = 0; i < WORDS; i++) words[slot * WORDS + i] = word(bytes, start + i * 4);
    this.#flags[slot] = flags;
    this.#size++;
    if (this.#size * 3 > this.#capacity * 2) this.#grow();
  }

  #grow(): void {
    const { ids, flags } = this.export();
    this.#capacity *= 2;
    this.#words = new Uint32Array(this.#capacity * WORDS);
    this.#flags = new Uint8Array(this.#capacity);
    this.#size = 0;
    this.addAll(ids, flags);
  }

  /** @param ids - 20 bytes each. */
  addAll(ids: Uint8Array, flags: Uint8Array): void {
    for (let i = 0; i < flags.length; i++) this.add(ids, i * OBJECT_ID_BYTES, flags[i] as number);
  }

  /** The ids, 20 bytes each, in no particular order, and their flags. */
  export(): { ids: Uint8Array; flags: Uint8Array } {
    const ids = new Uint8Array(this.#size * OBJECT_ID_BYTES);
    const view = new DataView(ids.buffer);
    const flags = new Uint8Array(this.#size);
    for (let slot = 0, i = 0; slot < this.#capacity; slot++) {
      const flag = this.#flags[slot] as number;
      if (flag === 0) continue;
      for (let w = 0; w < WORDS; w++)
        view.setUint32(i * OBJECT_ID_BYTES + w * 4, this.#words[slot * WORDS + w] as number);
      flags[i++] = flag;
    }
    return { ids, flags };
  }
}

/** Big-endian, unsigned. */
function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** A set of object ids in flat memory: 21 bytes an id and no objects, so that millions cost no garbage. */
import { OBJECT_ID_BYTES } from "../object-id.ts";

const WORDS = OBJECT_ID_BYTES / 4;
const SMALLEST_CAPACITY = 1024;
const MAX_LOAD = 0.8;

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
    if (this.#size > this.#capacity * MAX_LOAD) this.#grow();
  }

  #grow(): void {
    const words = this.#words;
    const flags = this.#flags;
    this.#capacity *= 2;
    this.#words = new Uint32Array(this.#capacity * WORDS);
    this.#flags = new Uint8Array(this.#capacity);
    const mask = this.#capacity - 1;
    for (let old = 0; old < flags.length; old++) {
      if (flags[old] === 0) continue;
      let slot = (words[old * WORDS] as number) & mask;
      while (this.#flags[slot] !== 0) slot = (slot + 1) & mask;
      this.#flags[slot] = flags[old] as number;
      this.#words.set(words.subarray(old * WORDS, (old + 1) * WORDS), slot * WORDS);
    }
  }

  /**
   * @param isWanted - Asked for each id, at `bytes[start]`, with its flags.
   * @returns The wanted ids, 20 bytes each, in no particular order, and their flags.
   */
  select(isWanted: (bytes: Uint8Array, start: number, flags: number) => boolean): {
    ids: Uint8Array;
    flags: Uint8Array;
  } {
    const slots: number[] = [];
    const id = new DataView(new ArrayBuffer(OBJECT_ID_BYTES));
    const idBytes = new Uint8Array(id.buffer);
    for (let slot = 0; slot < this.#capacity; slot++) {
      const flags = this.#flags[slot] as number;
      if (flags === 0) continue;
      this.#writeId(slot, id, 0);
      if (isWanted(idBytes, 0, flags)) slots.push(slot);
    }
    const ids = new DataView(new ArrayBuffer(slots.length * OBJECT_ID_BYTES));
    slots.forEach((slot, i) => {
      this.#writeId(slot, ids, i * OBJECT_ID_BYTES);
    });
    return {
      ids: new Uint8Array(ids.buffer),
      flags: Uint8Array.from(slots, (slot) => this.#flags[slot] as number),
    };
  }

  #writeId(slot: number, target: DataView, start: number): void {
    for (let i = 0; i < WORDS; i++) target.setUint32(start + i * 4, this.#words[slot * WORDS + i] as number);
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

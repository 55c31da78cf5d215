/** A set of object ids in flat memory: 21 bytes an id and no objects, so that millions cost no garbage. */
import { randomFillSync } from "node:crypto";
import { OBJECT_ID_BYTES } from "../object-id.ts";

const WORDS = OBJECT_ID_BYTES / 4;
const SMALLEST_CAPACITY_BITS = 10;
const MAX_LOAD = 0.8;

/** Random and odd: a pack's author chooses its ids, but must not be able to map them all to one slot. */
const [F0 = 1, F1 = 1, F2 = 1, F3 = 1, F4 = 1] = randomFillSync(new Uint32Array(WORDS)).map(
  (factor) => factor | 1,
);

/** Each id carries the union of the flags it was added with; flags are 1 to 255. */
export class ObjectIdSet {
  #words = new Uint32Array(2 ** SMALLEST_CAPACITY_BITS * WORDS);
  /** 0 marks a free slot. */
  #flags = new Uint8Array(2 ** SMALLEST_CAPACITY_BITS);
  #capacityBits = SMALLEST_CAPACITY_BITS;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds the id at `bytes[start]`. */
  add(bytes: Uint8Array, start: number, flags: number): void {
    const w0 = word(bytes, start);
    const w1 = word(bytes, start + 4);
    const w2 = word(bytes, start + 8);
    const w3 = word(bytes, start + 12);
    const w4 = word(bytes, start + 16);
    this.#insert(w0, w1, w2, w3, w4, flags);
    if (this.#size > this.#flags.length * MAX_LOAD) this.#grow();
  }

  #insert(w0: number, w1: number, w2: number, w3: number, w4: number, flags: number): void {
    const words = this.#words;
    const mask = this.#flags.length - 1;
    let slot = slotOf(w0, w1, w2, w3, w4, this.#capacityBits);
    let at = slot * WORDS;
    while (this.#flags[slot] !== 0) {
      const isSame =
        words[at] === w0 &&
        words[at + 1] === w1 &&
        words[at + 2] === w2 &&
        words[at + 3] === w3 &&
        words[at + 4] === w4;
      if (isSame) {
        this.#flags[slot] = (this.#flags[slot] as number) | flags;
        return;
      }
      slot = (slot + 1) & mask;
      at = slot * WORDS;
    }
    words[at] = w0;
    words[at + 1] = w1;
    words[at + 2] = w2;
    words[at + 3] = w3;
    words[at + 4] = w4;
    this.#flags[slot] = flags;
    this.#size++;
  }

  #grow(): void {
    const words = this.#words;
    const flags = this.#flags;
    this.#capacityBits += 1;
    this.#words = new Uint32Array(2 ** this.#capacityBits * WORDS);
    this.#flags = new Uint8Array(2 ** this.#capacityBits);
    this.#size = 0;
    const at = (index: number): number => words[index] as number;
    for (let old = 0, i = 0; old < flags.length; old++, i += WORDS) {
      const known = flags[old] as number;
      if (known !== 0) this.#insert(at(i), at(i + 1), at(i + 2), at(i + 3), at(i + 4), known);
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
    for (let slot = 0; slot < this.#flags.length; slot++) {
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

/** The upper bits of the sum: its lower ones would depend on the words' lower bits only. */
function slotOf(w0: number, w1: number, w2: number, w3: number, w4: number, bits: number): number {
  const sum =
    Math.imul(w0, F0) + Math.imul(w1, F1) + Math.imul(w2, F2) + Math.imul(w3, F3) + Math.imul(w4, F4);
  return (sum | 0) >>> (32 - bits);
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

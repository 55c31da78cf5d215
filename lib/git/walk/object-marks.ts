/** What is known of each object during one answer: one byte an object. */
import type { ObjectNumber } from "../object-numbers.ts";
import { Uint32Vector } from "./uint32-vector.ts";

const SENT = 1;
const CLIENT_HAS = 2;
const IS_TREE = 4;

export class ObjectMarks {
  readonly #marks: Uint8Array;
  readonly #sent = new Uint32Vector();

  constructor(objectCount: number) {
    this.#marks = new Uint8Array(objectCount);
  }

  /** Each once, in the order of `markSent`. */
  get sentObjects(): Uint32Array {
    return this.#sent.values();
  }

  get sentCount(): number {
    return this.#sent.length;
  }

  markSent(objectNumber: ObjectNumber): void {
    if (this.isMarked(objectNumber)) return;
    this.#marks[objectNumber] = (this.#marks[objectNumber] ?? 0) | SENT;
    this.#sent.push(objectNumber);
  }

  isMarked(objectNumber: ObjectNumber): boolean {
    return ((this.#marks[objectNumber] ?? 0) & SENT) !== 0;
  }

  /** Not all that the client has: only what a walk came by. */
  markClientHas(objectNumber: ObjectNumber, type: "tree" | "blob"): void {
    const flags = type === "tree" ? CLIENT_HAS | IS_TREE : CLIENT_HAS;
    this.#marks[objectNumber] = (this.#marks[objectNumber] ?? 0) | flags;
  }

  clientHas(objectNumber: ObjectNumber): boolean {
    return ((this.#marks[objectNumber] ?? 0) & CLIENT_HAS) !== 0;
  }

  /** A client that left out blobs may lack some that belong to its commits, but no trees. */
  clientHasTree(objectNumber: ObjectNumber): boolean {
    return this.#marks[objectNumber] === (CLIENT_HAS | IS_TREE);
  }

  isSettled(objectNumber: ObjectNumber): boolean {
    return this.#marks[objectNumber] !== 0;
  }
}

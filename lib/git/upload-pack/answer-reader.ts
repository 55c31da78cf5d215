/**
 * A shared answer as bytes: shallow lines, then the pack. In front, two numbers of four
 * bytes: how many commits become shallow (all ones if there is no such line) and how many unshallow; then their ids.
 */
import { CorruptPackError } from "../../errors.ts";
import type { ObjectId } from "../object-id.ts";
import { decodePackHeader, PACK_HEADER_BYTES } from "../pack/pack-format.ts";

import type { AnswerItem } from "../ports.ts";
import { WorkSlices } from "../work-slices.ts";
import type { AnswerPlanning, FinishedPack, Planning, ProgressText } from "./plan.ts";
import type { ShallowLines } from "./shallow.ts";

const COUNTS_BYTES = 8;
const ID_BYTES = 20;
const IDS_A_STEP = 1_000;
const NOTHING_SAID = 0xffff_ffff;
/** In both lists: four times as many as a client may name. They are held, and damage could make them any number. */
export const MAX_HEAD_IDS = 1_000_000;

export function encodeAnswerHead(shallow: ShallowLines | undefined): Uint8Array {
  const counts = new Uint8Array(COUNTS_BYTES);
  const view = new DataView(counts.buffer);
  view.setUint32(0, shallow?.shallowIds.length ?? NOTHING_SAID);
  view.setUint32(4, shallow?.unshallowIds.length ?? 0);
  const ids = shallow === undefined ? [] : [...shallow.shallowIds, ...shallow.unshallowIds];
  // All in one: a buffer for each of 10,000 ids makes pauses to collect them.
  return Buffer.concat([counts, Buffer.from(ids.join(""), "hex")]);
}

export class AnswerReader {
  readonly shallow: ShallowLines | undefined;
  readonly #input: AnswerInput;

  private constructor(input: AnswerInput, shallow: ShallowLines | undefined) {
    this.#input = input;
    this.shallow = shallow;
  }

  /**
   * Reads up to the pack.
   * @returns `undefined` if the answer breaks off before. Its maker has logged why.
   */
  static async open(items: AsyncIterable<AnswerItem>): Promise<AnswerReader | undefined> {
    const input = new AnswerInput(items);
    try {
      return new AnswerReader(input, await readHead(input));
    } catch {
      await input.close();
      return undefined; // if it was no accident, it comes up again where the answer is made alone
    }
  }

  /**
   * @param origin - Of the shared answer's pack.
   * @param alone - The answer made without others, where the shared one breaks off before its pack began.
   */
  async *planPack(origin: FinishedPack["origin"], alone: () => Planning): AnswerPlanning {
    const input = this.#input;
    let first: Uint8Array | undefined;
    try {
      first = yield* firstOfPack(input);
    } catch {
      // As in `open`.
    } finally {
      if (first === undefined) await input.close();
    }
    return first === undefined
      ? yield* alone()
      : { kind: "copy-answer", origin, items: packItems(first, input) };
  }

  /** The answer is read no further. */
  close(): Promise<void> {
    return this.#input.close();
  }
}

async function readHead(input: AnswerInput): Promise<ShallowLines | undefined> {
  const counts = await input.take(COUNTS_BYTES);
  const view = new DataView(counts.buffer, counts.byteOffset);
  const shallowCount = view.getUint32(0);
  if (shallowCount === NOTHING_SAID) return undefined;
  const unshallowCount = view.getUint32(4);
  if (shallowCount + unshallowCount > MAX_HEAD_IDS)
    throw new CorruptPackError("shared answer has a wrong head", { shallowCount, unshallowCount });
  const bytes = await input.take((shallowCount + unshallowCount) * ID_BYTES);
  const ids: ObjectId[] = [];
  const slices = new WorkSlices();
  for (let start = 0; start < bytes.length; start += IDS_A_STEP * ID_BYTES) {
    const hex = Buffer.from(bytes.subarray(start, start + IDS_A_STEP * ID_BYTES)).toString("hex");
    for (let at = 0; at < hex.length; at += 2 * ID_BYTES)
      ids.push(hex.slice(at, at + 2 * ID_BYTES) as ObjectId);
    if (slices.isDue(IDS_A_STEP)) await slices.pause();
  }
  return { shallowIds: ids.slice(0, shallowCount), unshallowIds: ids.slice(shallowCount) };
}

/** @returns The first bytes of the pack; `undefined` if the answer ends without one. @throws {CorruptPackError} They are none. */
async function* firstOfPack(
  input: AnswerInput,
): AsyncGenerator<ProgressText, Uint8Array | undefined, undefined> {
  for (let item = await input.next(); item !== undefined; item = await input.next()) {
    if (!(item instanceof Uint8Array)) {
      yield item;
    } else if (item.length > 0) {
      if (item.length >= PACK_HEADER_BYTES) decodePackHeader(item);
      return item;
    }
  }
  return undefined;
}

async function* packItems(first: Uint8Array, input: AnswerInput): AsyncGenerator<AnswerItem, void> {
  try {
    yield first;
    for (let item = await input.next(); item !== undefined; item = await input.next()) yield item;
  } finally {
    await input.close();
  }
}

/** The items, of which bytes may be taken from the front. */
class AnswerInput {
  readonly #items: AsyncIterator<AnswerItem>;
  readonly #waiting: AnswerItem[] = [];

  constructor(items: AsyncIterable<AnswerItem>) {
    this.#items = items[Symbol.asyncIterator]();
  }

  async next(): Promise<AnswerItem | undefined> {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting;
    const step = await this.#items.next();
    return step.done ? undefined : step.value;
  }

  /** The next bytes, progress passed over. @throws {CorruptPackError} There are not so many. */
  async take(lengthBytes: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let heldBytes = 0;
    while (heldBytes < lengthBytes) {
      const item = await this.next();
      if (item === undefined) throw new CorruptPackError("shared answer is cut", { lengthBytes, heldBytes });
      if (!(item instanceof Uint8Array)) continue;
      pieces.push(item);
      heldBytes += item.length;
    }
    const held = Buffer.concat(pieces);
    if (heldBytes > lengthBytes) this.#waiting.push(held.subarray(lengthBytes));
    return held.subarray(0, lengthBytes);
  }

  async close(): Promise<void> {
    await this.#items.return?.();
  }
}

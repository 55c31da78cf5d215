/**
 * The refs of one generation as pkt-lines, as `ls-refs` sends them: `<id> <name>`, and behind a tag ` peeled:<id>`. They are sorted,
 * so a ref is found by binary search, what is asked for is a part of these bytes, and half a million refs take no memory but them.
 */
import { CorruptPackError } from "../errors.ts";
import { bytesOfText } from "../git/byte-text.ts";
import { isObjectId, type ObjectId } from "../git/object-id.ts";
import { encodePktLine, MAX_PKT_LINE_BYTES, PKT_PREFIX_BYTES, writePktPrefix } from "../git/pktline.ts";
import type { Head, Ref, RefFinder, RefLineForm, RefList, Symref } from "../git/ports.ts";
import { encodeRef } from "../git/upload-pack/find-refs.ts";

const LINE_FEED = 0x0a;
const CARET = 0x5e;
const SPACE = 0x20;
const ID_DIGITS = 40;
const PEELED_KEY = Buffer.from(" peeled:");
const PEELED_BYTES = PEELED_KEY.length + ID_DIGITS;
/** Where the name begins in a line. */
const NAME_OFFSET = PKT_PREFIX_BYTES + ID_DIGITS + 1;
/** Of the lists that are sent: some 900 refs. No line is longer. */
const CHUNK_BYTES = 64 * 1024;
/** With a name of one letter. */
const MIN_LINE_BYTES = NAME_OFFSET + 2;
/** Of an id, as a number of 32 bits. */
const KEY_DIGITS = 8;
const SALT = Math.random() * 2 ** 32;
/** Knuth's, for multiplicative hashing: the highest bits depend on all others. */
const HASH_FACTOR = 0x9e37_79b1;

export class RefTable implements RefFinder {
  readonly #lines: Buffer;
  readonly #hasPeeled: boolean;
  #values: ValueIndex | undefined;

  /**
   * @param packedRefs - `<id> <name>`, and `^<id>` below a tag. The last line ends, too.
   * @throws {CorruptPackError} A line is malformed; what is no id is noticed where it is read.
   */
  constructor(packedRefs: Uint8Array, startBytes: number) {
    const { lines, hasPeeled } = listedLines(packedRefs, startBytes);
    this.#lines = lines;
    this.#hasPeeled = hasPeeled;
  }

  find(name: string): Ref | undefined {
    const at = this.#lowerBound(bytesOfText(name));
    const ref = at < this.#lines.length ? this.#refAt(at) : undefined;
    return ref?.name === name ? ref : undefined;
  }

  /** @throws {CorruptPackError} While iterating: what should be an id is none. */
  *startingWith(prefix: string): Generator<Ref, void, undefined> {
    for (let at = this.#lowerBound(bytesOfText(prefix)); at < this.#lines.length; at = this.#next(at)) {
      const ref = this.#refAt(at);
      if (!ref.name.startsWith(prefix)) return;
      yield ref;
    }
  }

  /** Views of the table, but for symbolic refs, and tags in other forms than its own. */
  *lines(
    prefix: string,
    form: RefLineForm,
    symrefs: readonly Symref[] = [],
  ): Generator<Uint8Array, void, undefined> {
    const prefixBytes = bytesOfText(prefix);
    const end = this.#upperBound(prefixBytes);
    let start = this.#lowerBound(prefixBytes);
    for (const { name, target } of symrefs) {
      const at = name.startsWith(prefix) ? this.#lowerBound(bytesOfText(name)) : end;
      const ref = at < end ? this.#refAt(at) : undefined;
      if (ref?.name !== name) continue;
      yield* this.#linesWithin(start, at, form);
      yield encodeRef(ref, target, form === "listed-peeled");
      start = this.#next(at);
    }
    yield* this.#linesWithin(start, end, form);
  }

  *#linesWithin(from: number, end: number, form: RefLineForm): Generator<Uint8Array, void, undefined> {
    let start = from;
    if (this.#hasPeeled && form !== "listed-peeled") {
      for (let at = start; at < end; at = this.#next(at)) {
        if (!this.#isPeeled(at)) continue;
        yield* this.#chunks(start, at);
        yield* this.#peeledIn(form, at);
        start = this.#next(at);
      }
    }
    yield* this.#chunks(start, end);
  }

  hasOnlyValues(ids: ReadonlySet<ObjectId>): boolean {
    const values = this.#valueIndex;
    let left = values.distinctCount;
    for (const id of ids) if (values.has(id)) left--;
    return left === 0;
  }

  hasValue(id: ObjectId): boolean {
    return this.#valueIndex.has(id);
  }

  get #valueIndex(): ValueIndex {
    this.#values ??= new ValueIndex(this.#lines);
    return this.#values;
  }

  *#chunks(start: number, end: number): Generator<Uint8Array, void, undefined> {
    for (let at = start; at < end; ) {
      const full = at + CHUNK_BYTES;
      const chunkEnd = full < end ? this.#lineStart(full) : end;
      yield this.#lines.subarray(at, chunkEnd);
      at = chunkEnd;
    }
  }

  *#peeledIn(form: RefLineForm, at: number): Generator<Uint8Array, void, undefined> {
    const { id, name, peeledId } = this.#refAt(at);
    yield encodePktLine(`${id} ${name}\n`);
    if (form === "advertised") yield encodePktLine(`${peeledId} ${name}^{}\n`);
  }

  #next(at: number): number {
    return at + hexNumber(this.#lines, at, PKT_PREFIX_BYTES);
  }

  /** No name has a space in it. */
  #isPeeled(at: number): boolean {
    const keyAt = this.#next(at) - 1 - PEELED_BYTES;
    return keyAt > at + NAME_OFFSET && this.#lines[keyAt] === SPACE;
  }

  #nameEnd(at: number): number {
    return this.#next(at) - (this.#isPeeled(at) ? PEELED_BYTES + 1 : 1);
  }

  #idAt(at: number): ObjectId {
    return this.#text(at + PKT_PREFIX_BYTES, at + PKT_PREFIX_BYTES + ID_DIGITS) as ObjectId;
  }

  #refAt(at: number): Ref {
    const lineEnd = this.#next(at) - 1;
    const nameEnd = this.#nameEnd(at);
    const id = this.#idAt(at);
    const name = this.#text(at + NAME_OFFSET, nameEnd);
    const peeledId = nameEnd < lineEnd ? this.#text(nameEnd + PEELED_KEY.length, lineEnd) : undefined;
    if (!isObjectId(id) || (peeledId !== undefined && !isObjectId(peeledId)))
      throw malformed(this.#lines.subarray(at, lineEnd));
    return peeledId === undefined ? { name, id } : { name, id, peeledId };
  }

  /** Where the first ref begins whose name is not before `name`; the end if there is none. */
  #lowerBound(name: Uint8Array): number {
    let low = 0;
    let high = this.#lines.length;
    while (low < high) {
      const middle = this.#lineStart((low + high) >>> 1);
      const nameStart = middle + NAME_OFFSET;
      if (this.#lines.compare(name, 0, name.length, nameStart, this.#nameEnd(middle)) >= 0) high = middle;
      else low = this.#next(middle);
    }
    return low;
  }

  /** Where the first ref begins that is behind all that begin with `prefix`. */
  #upperBound(prefix: Uint8Array): number {
    const last = prefix.findLastIndex((byte) => byte !== 0xff);
    if (last < 0) return this.#lines.length;
    const next = prefix.slice(0, last + 1);
    next[last] = (next[last] as number) + 1;
    return this.#lowerBound(next);
  }

  /** Where the line begins that the byte there belongs to. */
  #lineStart(at: number): number {
    return at === 0 ? 0 : this.#lines.lastIndexOf(LINE_FEED, at - 1) + 1;
  }

  #text(start: number, end: number): string {
    return this.#lines.toString("latin1", start, end);
  }
}

/** 50,000 refs in some 10 ms. Without a loop over bytes, which costs a cold process twice as much. */
function listedLines(packedRefs: Uint8Array, startBytes: number): { lines: Buffer; hasPeeled: boolean } {
  const source = Buffer.from(packedRefs.buffer, packedRefs.byteOffset, packedRefs.length);
  // Each ref takes 4 bytes more than its line, which has at least 42, and a peeled value 6 more than its own, of 42.
  const lines = Buffer.allocUnsafeSlow(Math.ceil(((source.length - startBytes) * 8) / 7));
  let hasPeeled = false;
  let target = 0;
  for (let at = startBytes; at < source.length; ) {
    const lineEnd = source.indexOf(LINE_FEED, at);
    const idEnd = at + ID_DIGITS;
    const nextSpace = source.indexOf(SPACE, idEnd + 1);
    const hasOneSpace = source[idEnd] === SPACE && !(nextSpace >= 0 && nextSpace < lineEnd);
    if (lineEnd <= idEnd + 1 || !hasOneSpace) throw malformed(source.subarray(at, lineEnd));
    const lineStart = target;
    target += PKT_PREFIX_BYTES;
    target += source.copy(lines, target, at, lineEnd);
    at = lineEnd + 1;
    if (source[at] === CARET) {
      const peeledEnd = at + 1 + ID_DIGITS;
      if (source.indexOf(LINE_FEED, at) !== peeledEnd) throw malformed(source.subarray(at, peeledEnd));
      target += PEELED_KEY.copy(lines, target);
      target += source.copy(lines, target, at + 1, peeledEnd);
      hasPeeled = true;
      at = peeledEnd + 1;
    }
    lines[target++] = LINE_FEED;
    if (target - lineStart > MAX_PKT_LINE_BYTES) throw malformed(source.subarray(idEnd, lineEnd));
    writePktPrefix(lines, lineStart, target - lineStart);
  }
  return { lines: lines.subarray(0, target), hasPeeled };
}

/** Which ids are values of refs: a hash table of where their lines begin, a few bytes for each. */
class ValueIndex {
  readonly #lines: Buffer;
  /** Where an id begins in the lines, which is never at 0; 0 where there is none. */
  readonly #slots: Uint32Array;
  readonly #askedId = new Uint8Array(ID_DIGITS);
  /** Of the values. */
  distinctCount = 0;

  constructor(lines: Buffer) {
    this.#lines = lines;
    // At least twice as many as there are refs.
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2((2 * lines.length) / MIN_LINE_BYTES + 2)));
    for (let at = 0; at < lines.length; at += hexNumber(lines, at, PKT_PREFIX_BYTES)) {
      const idAt = at + PKT_PREFIX_BYTES;
      const slot = this.#slotOf(lines, idAt);
      if (this.#slots[slot] !== 0) continue;
      this.#slots[slot] = idAt;
      this.distinctCount++;
    }
  }

  has(id: ObjectId): boolean {
    for (let i = 0; i < ID_DIGITS; i++) this.#askedId[i] = id.charCodeAt(i);
    return this.#slots[this.#slotOf(this.#askedId, 0)] !== 0;
  }

  /** Where the id is, or belongs. */
  #slotOf(bytes: Uint8Array, at: number): number {
    const mask = this.#slots.length - 1;
    // Who pushes chooses ids; the salt keeps them from all having one slot.
    let slot = Math.imul(hexNumber(bytes, at, KEY_DIGITS) ^ SALT, HASH_FACTOR) >>> Math.clz32(mask);
    for (; ; slot = (slot + 1) & mask) {
      const idAt = this.#slots[slot] as number;
      if (idAt === 0 || this.#isSame(idAt, bytes, at)) return slot;
    }
  }

  #isSame(idAt: number, bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < ID_DIGITS; i++) if (this.#lines[idAt + i] !== bytes[at + i]) return false;
    return true;
  }
}

/** Any number where the digits are no lower-case hexadecimal ones. */
function hexNumber(bytes: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i++) {
    const code = bytes[i] as number;
    value = value * 16 + (code >= 0x61 ? code - 0x57 : code - 0x30);
  }
  return value;
}

function malformed(line: Buffer): CorruptPackError {
  return new CorruptPackError("ref snapshot has a malformed line", { line: line.toString("latin1", 0, 200) });
}

/** Refs that become objects when they are asked for as a whole. */
export class StoredRefList implements RefList {
  readonly head: Head;
  readonly symrefs: readonly Symref[] | undefined;
  readonly finder: RefTable;
  #refs: readonly Ref[] | undefined;

  constructor(head: Head, symrefs: readonly Symref[] | undefined, table: RefTable) {
    this.head = head;
    this.symrefs = symrefs;
    this.finder = table;
  }

  /** @throws {CorruptPackError} A line is malformed. */
  get refs(): readonly Ref[] {
    this.#refs ??= [...this.finder.startingWith("")];
    return this.#refs;
  }
}

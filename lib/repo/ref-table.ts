/**
 * The refs of one generation in the bytes that they are stored as. They are sorted, so a ref is found by binary search, and
 * half a million of them take no memory but their text.
 */
import { CorruptPackError, ProtocolError } from "../errors.ts";
import { bytesOfText } from "../git/byte-text.ts";
import { isObjectId, type ObjectId } from "../git/object-id.ts";
import { MAX_PKT_LINE_BYTES, PKT_PREFIX_BYTES, writePktPrefix } from "../git/pktline.ts";
import type { Head, Ref, RefFinder, RefLineForm, RefList } from "../git/ports.ts";

const LINE_FEED = 0x0a;
const CARET = 0x5e;
const SPACE = 0x20;
const ID_DIGITS = 40;
const PEELED_KEY = Buffer.from(" peeled:");
const PEELED_SUFFIX = Buffer.from("^{}");
/** Of the lists that are sent: some 900 refs. */
const CHUNK_BYTES = 64 * 1024;
/** Enough of an id to distinguish it from nearly all others. */
const KEY_DIGITS = 12;

export class RefTable implements RefFinder {
  readonly #bytes: Buffer;
  /** Where the first ref begins. */
  readonly #start: number;

  /** @param bytes - Lines of packed-refs: `<id> <name>`, and `^<id>` below a tag. The last one ends, too. */
  constructor(bytes: Uint8Array, startBytes: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#start = startBytes;
  }

  find(name: string): Ref | undefined {
    const at = this.#lowerBound(bytesOfText(name));
    const ref = at < this.#bytes.length ? this.#refAt(at).ref : undefined;
    return ref?.name === name ? ref : undefined;
  }

  /** @throws {CorruptPackError} While iterating: a line is malformed. */
  *startingWith(prefix: string): Generator<Ref, void, undefined> {
    for (let at = this.#lowerBound(bytesOfText(prefix)); at < this.#bytes.length; ) {
      const { ref, end } = this.#refAt(at);
      if (!ref.name.startsWith(prefix)) return;
      yield ref;
      at = end;
    }
  }

  /** Copied out of the snapshot: 50,000 refs in some 10 ms. @throws {CorruptPackError} While iterating: a line is malformed. */
  *lines(prefix: string, form: RefLineForm): Generator<Uint8Array, void, undefined> {
    const source = this.#bytes;
    const prefixBytes = bytesOfText(prefix);
    const end = this.#upperBound(prefixBytes);
    let target = new ChunkWriter(source, CHUNK_BYTES);
    for (let at = this.#lowerBound(prefixBytes); at < end; ) {
      const lineEnd = this.#lineEnd(at);
      if (source[at + ID_DIGITS] !== SPACE || lineEnd <= at + ID_DIGITS + 1) throw this.#badLine(at, lineEnd);
      const hasPeeled = source[lineEnd + 1] === CARET;
      const peeledEnd = hasPeeled ? this.#lineEnd(lineEnd + 1) : lineEnd;
      if (hasPeeled && peeledEnd !== lineEnd + 2 + ID_DIGITS) throw this.#badLine(lineEnd + 1, peeledEnd);
      if (target.isFull(lineEnd - at)) {
        yield target.written();
        target = new ChunkWriter(source, CHUNK_BYTES);
      }
      target.begin();
      target.copy(at, lineEnd);
      if (hasPeeled && form === "listed-peeled") {
        target.put(PEELED_KEY);
        target.copy(lineEnd + 2, peeledEnd);
      }
      target.end();
      if (hasPeeled && form === "advertised") {
        target.begin();
        target.copy(lineEnd + 2, peeledEnd);
        target.copy(at + ID_DIGITS, lineEnd);
        target.put(PEELED_SUFFIX);
        target.end();
      }
      at = peeledEnd + 1;
    }
    yield target.written();
  }

  hasOnlyValues(ids: ReadonlySet<ObjectId>): boolean {
    for (let at = this.#start; at < this.#bytes.length; at = this.#lineEnd(at) + 1) {
      if (this.#bytes[at] !== CARET && !ids.has(this.#text(at, at + ID_DIGITS) as ObjectId)) return false;
    }
    return true;
  }

  valuesAmong(ids: ReadonlySet<ObjectId>): Set<ObjectId> {
    const keys = new Set<number>();
    for (const id of ids) keys.add(Number.parseInt(id.slice(0, KEY_DIGITS), 16));
    const found = new Set<ObjectId>();
    for (let at = this.#start; at < this.#bytes.length; at = this.#lineEnd(at) + 1) {
      if (this.#bytes[at] === CARET || !keys.has(this.#keyAt(at))) continue;
      const { id } = this.#refAt(at).ref;
      if (ids.has(id)) found.add(id);
    }
    return found;
  }

  /** The first digits of the id there; NaN if they are none. */
  #keyAt(at: number): number {
    let key = 0;
    for (let i = at; i < at + KEY_DIGITS; i++) {
      const code = this.#bytes[i] ?? 0;
      key = key * 16 + (code >= 0x61 ? code - 0x57 : code - 0x30);
    }
    return key;
  }

  #refAt(at: number): { readonly ref: Ref; readonly end: number } {
    const lineEnd = this.#lineEnd(at);
    const id = this.#text(at, at + ID_DIGITS);
    const name = this.#text(at + ID_DIGITS + 1, lineEnd);
    if (!isObjectId(id) || this.#bytes[at + ID_DIGITS] !== 0x20) throw this.#badLine(at, lineEnd);
    const next = lineEnd + 1;
    if (this.#bytes[next] !== CARET) return { ref: { name, id }, end: next };
    const peeledEnd = this.#lineEnd(next);
    const peeledId = this.#text(next + 1, peeledEnd);
    if (!isObjectId(peeledId)) throw this.#badLine(next, peeledEnd);
    return { ref: { name, id, peeledId }, end: peeledEnd + 1 };
  }

  #lineEnd(at: number): number {
    const end = this.#bytes.indexOf(LINE_FEED, at);
    return end < 0 ? this.#bytes.length : end;
  }

  /** Where the first ref begins whose name is not before `name`; the end if there is none. */
  #lowerBound(name: Uint8Array): number {
    let low = this.#start;
    let high = this.#bytes.length;
    while (low < high) {
      const middle = this.#refStart((low + high) >>> 1);
      const lineEnd = this.#lineEnd(middle);
      const nameStart = Math.min(middle + ID_DIGITS + 1, lineEnd);
      if (this.#bytes.compare(name, 0, name.length, nameStart, lineEnd) >= 0) high = middle;
      else low = this.#bytes[lineEnd + 1] === CARET ? this.#lineEnd(lineEnd + 1) + 1 : lineEnd + 1;
    }
    return low;
  }

  /** Where the first ref begins that is behind all that begin with `prefix`. */
  #upperBound(prefix: Uint8Array): number {
    const last = prefix.findLastIndex((byte) => byte !== 0xff);
    if (last < 0) return this.#bytes.length;
    const next = prefix.slice(0, last + 1);
    next[last] = (next[last] as number) + 1;
    return this.#lowerBound(next);
  }

  /** Where the ref begins that the byte there belongs to. */
  #refStart(at: number): number {
    const lineStart = (end: number): number =>
      end <= this.#start ? this.#start : this.#bytes.lastIndexOf(LINE_FEED, end - 1) + 1;
    const start = lineStart(at);
    return this.#bytes[start] === CARET ? lineStart(start - 1) : start;
  }

  #text(start: number, end: number): string {
    return this.#bytes.toString("latin1", start, end);
  }

  #badLine(start: number, end: number): CorruptPackError {
    const line = this.#text(start, Math.min(end, start + 200));
    return new CorruptPackError("ref snapshot has a malformed line", { line });
  }
}

/** Writes pkt-lines into one chunk. */
class ChunkWriter {
  readonly #source: Uint8Array;
  readonly #chunkBytes: number;
  #bytes: Uint8Array;
  #length = 0;
  #lineStart = 0;

  constructor(source: Uint8Array, chunkBytes: number) {
    this.#source = source;
    this.#chunkBytes = chunkBytes;
    this.#bytes = Buffer.allocUnsafe(chunkBytes);
  }

  /** Whether a ref of this length, and what it was peeled to, goes into another chunk. */
  isFull(refBytes: number): boolean {
    const neededBytes = this.#length + 2 * (refBytes + PKT_PREFIX_BYTES + ID_DIGITS + PEELED_KEY.length);
    if (neededBytes <= this.#bytes.length) return false;
    if (this.#length > 0) return true;
    this.#bytes = Buffer.allocUnsafe(Math.max(neededBytes, this.#chunkBytes));
    return false;
  }

  begin(): void {
    this.#lineStart = this.#length;
    this.#length += PKT_PREFIX_BYTES;
  }

  /** Byte by byte: for so few at a time a call of `set` costs more. */
  copy(start: number, end: number): void {
    let at = this.#length;
    for (let i = start; i < end; i++) this.#bytes[at++] = this.#source[i] as number;
    this.#length = at;
  }

  put(bytes: Uint8Array): void {
    for (const byte of bytes) this.#bytes[this.#length++] = byte;
  }

  /** @throws {ProtocolError} The line is too long. */
  end(): void {
    this.#bytes[this.#length++] = LINE_FEED;
    const lineBytes = this.#length - this.#lineStart;
    if (lineBytes > MAX_PKT_LINE_BYTES)
      throw new ProtocolError("ref name is too long for a pkt-line", { lineBytes });
    writePktPrefix(this.#bytes, this.#lineStart, lineBytes);
  }

  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Refs that become objects when they are asked for as a whole. */
export class StoredRefList implements RefList {
  readonly head: Head;
  readonly finder: RefTable;
  #refs: readonly Ref[] | undefined;

  constructor(head: Head, table: RefTable) {
    this.head = head;
    this.finder = table;
  }

  /** @throws {CorruptPackError} A line is malformed. */
  get refs(): readonly Ref[] {
    this.#refs ??= [...this.finder.startingWith("")];
    return this.#refs;
  }
}

/** The fields of commits, tags and trees that a walk needs. Source: gitformat-commit-graph(5) and git-mktag(1). */
import { CorruptPackError } from "../errors.ts";
import { isObjectId, OBJECT_ID_BYTES, type ObjectId } from "./object-id.ts";
import { isObjectType, type ObjectType } from "./pack/pack-format.ts";

const decoder = new TextDecoder("latin1");
const NEWLINE = 0x0a;
const HEX_ID_BYTES = 40;

export interface Commit {
  readonly treeId: ObjectId;
  readonly parentIds: readonly ObjectId[];
  /** As the committer's clock said: it may be wrong, and up to 2^64. 0 if unreadable. */
  readonly committedAtSeconds: number;
}

/** @throws {CorruptPackError} No tree line, or a malformed id. */
export function parseCommit(bytes: Uint8Array): Commit {
  const treeId = headerId(bytes, 0, "tree ");
  if (treeId === undefined) throw new CorruptPackError("commit has no tree");
  const parentIds: ObjectId[] = [];
  let lineStart = "tree ".length + HEX_ID_BYTES + 1;
  for (;;) {
    const parentId = headerId(bytes, lineStart, "parent ");
    if (parentId === undefined) break;
    parentIds.push(parentId);
    lineStart += "parent ".length + HEX_ID_BYTES + 1;
  }
  return { treeId, parentIds, committedAtSeconds: committerTime(bytes, lineStart) };
}

/** @returns The id in the line `<key><id>` at `lineStart`, or `undefined` if the line has another key. */
function headerId(bytes: Uint8Array, lineStart: number, key: string): ObjectId | undefined {
  const lineEnd = lineStart + key.length + HEX_ID_BYTES;
  const line = decoder.decode(bytes.subarray(lineStart, lineEnd + 1));
  if (!line.startsWith(key)) return undefined;
  const id = line.slice(key.length, -1);
  if (!isObjectId(id) || !line.endsWith("\n"))
    throw new CorruptPackError("object has a malformed header", { key });
  return id;
}

const NUMBER_AT_START = /^[ \t\r]*(-?\d+)/;
const TWO_TO_64 = 2 ** 64;

/**
 * As git reads it since 2.41 (`parse_commit_date`, and `strtoumax` for the number): the committer's line is the one behind the
 * author's, whatever is before and behind the number does not matter, and a negative number wraps to one of 64 bits.
 */
function committerTime(bytes: Uint8Array, authorStart: number): number {
  const author = lineAt(bytes, authorStart);
  if (author === undefined || !author.startsWith("author")) return 0;
  const committer = lineAt(bytes, authorStart + author.length + 1);
  if (committer === undefined || !committer.startsWith("committer")) return 0;
  // Names and addresses may hold a `>` too.
  const addressEnd = committer.lastIndexOf(">") + 1;
  const number = addressEnd === 0 ? undefined : NUMBER_AT_START.exec(committer.slice(addressEnd))?.[1];
  if (number === undefined) return 0;
  const seconds = Math.min(Math.abs(Number(number)), TWO_TO_64);
  return number.startsWith("-") && seconds > 0 && seconds < TWO_TO_64 ? TWO_TO_64 - seconds : seconds;
}

/** @returns `undefined` if no line feed ends it. */
function lineAt(bytes: Uint8Array, start: number): string | undefined {
  const end = bytes.indexOf(NEWLINE, start);
  return end < 0 ? undefined : decoder.decode(bytes.subarray(start, end));
}

export interface Tag {
  readonly targetId: ObjectId;
  readonly targetType: ObjectType;
}

/** @throws {CorruptPackError} No object or type line, or a malformed one. */
export function parseTag(bytes: Uint8Array): Tag {
  const targetId = headerId(bytes, 0, "object ");
  const typeStart = "object ".length + HEX_ID_BYTES + 1;
  const typeEnd = bytes.indexOf(NEWLINE, typeStart);
  const typeLine = typeEnd < 0 ? "" : decoder.decode(bytes.subarray(typeStart, typeEnd));
  const targetType = typeLine.replace(/^type /, "");
  if (targetId === undefined || !isObjectType(targetType))
    throw new CorruptPackError("tag has a malformed header");
  return { targetId, targetType };
}

const SPACE = 0x20;
const SLASH = 0x2f;
const ZERO = 0x30;
const KIND_MASK = 0o170000;
const FOLDER = 0o040000;
const GITLINK = 0o160000;

/** Steps through a tree's entries; the fields describe the current one, all positions in `bytes`. */
export class TreeCursor {
  readonly bytes: Uint8Array;
  readonly treeEnd: number;
  start = 0;
  nameStart = 0;
  nameEnd = 0;
  /** Where the entry's 20-byte id begins. */
  idStart = 0;
  end = 0;
  isTree = false;
  /** A submodule's commit: not an object of this repository. */
  isGitlink = false;

  /** Begins at the first entry. @throws {CorruptPackError} The first entry is malformed. */
  constructor(bytes: Uint8Array, treeStart = 0, treeEnd = bytes.length) {
    this.bytes = bytes;
    this.treeEnd = treeEnd;
    this.moveTo(treeStart);
  }

  get isAtEnd(): boolean {
    return this.start >= this.treeEnd;
  }

  /** @throws {CorruptPackError} The tree ends inside an entry. */
  next(): void {
    this.moveTo(this.end);
  }

  /** @param start - Of an entry, or the tree's end. @throws {CorruptPackError} The tree ends inside the entry. */
  moveTo(start: number): void {
    const { bytes, treeEnd } = this;
    this.start = start;
    if (start >= treeEnd) return;
    // By hand: names are short, and a call of `indexOf` takes longer than most of them.
    let index = start;
    let mode = 0;
    for (let byte = bytes[index++]; byte !== SPACE && index < treeEnd; byte = bytes[index++])
      mode = mode * 8 + ((byte as number) - ZERO);
    this.nameStart = index;
    while (index < treeEnd && bytes[index] !== 0) index++;
    this.nameEnd = index;
    this.idStart = index + 1;
    this.end = this.idStart + OBJECT_ID_BYTES;
    this.isTree = (mode & KIND_MASK) === FOLDER;
    this.isGitlink = (mode & KIND_MASK) === GITLINK;
    if (this.nameEnd === this.nameStart || this.end > treeEnd)
      throw new CorruptPackError("tree ends inside an entry", { offsetBytes: start });
  }

  /** Compares by git's order of tree entries, in which a folder's name ends in `/`. */
  compareName(other: TreeCursor): number {
    const length = this.nameEnd - this.nameStart;
    const otherLength = other.nameEnd - other.nameStart;
    const shorter = Math.min(length, otherLength);
    for (let i = 0; i < shorter; i++) {
      const difference = (this.bytes[this.nameStart + i] ?? 0) - (other.bytes[other.nameStart + i] ?? 0);
      if (difference !== 0) return difference;
    }
    return this.#orderByteAt(shorter) - other.#orderByteAt(shorter) || length - otherLength;
  }

  #orderByteAt(index: number): number {
    const at = this.nameStart + index;
    if (at < this.nameEnd) return this.bytes[at] ?? 0;
    return this.isTree ? SLASH : 0;
  }

  hasSameId(other: TreeCursor): boolean {
    for (let i = 0; i < OBJECT_ID_BYTES; i++) {
      if (this.bytes[this.idStart + i] !== other.bytes[other.idStart + i]) return false;
    }
    return true;
  }
}

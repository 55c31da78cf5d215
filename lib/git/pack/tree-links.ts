/**
 * Collects what trees refer to, and reads of a deltified tree only what is new: an entry that the delta copies whole
 * was read in the base. Trees make up a large part of what a history inflates to, and nearly all of it is such copies.
 * For this, the places where a tree's entries begin are kept behind it in the arena.
 */
import { CorruptPackError } from "../../errors.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import type { DeltaCopies } from "./delta.ts";
import type { ObjectIdSet } from "./object-id-set.ts";
import { linkFlag } from "./object-links.ts";
import { OBJECT_TYPE } from "./pack-format.ts";
import { lowerBound } from "./sorted-numbers.ts";

const TREE = linkFlag(OBJECT_TYPE.tree);
const BLOB = linkFlag(OBJECT_TYPE.blob);
const SPACE = 0x20;
const ZERO = 0x30;
/** "40000 a\0" and an id. */
const SMALLEST_ENTRY_BYTES = 8 + OBJECT_ID_BYTES;
const NOT_INDEXED = 0xffffffff;

/** A tree's bytes, with room behind them for where its entries begin. */
export interface IndexableTree {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly sizeBytes: number;
  /** The same memory as words. */
  readonly words: Uint32Array;
}

/** What to reserve behind a tree: a count, the starts, and up to 3 bytes to align them. */
export function treeIndexBytes(sizeBytes: number): number {
  return 4 * (2 + Math.floor(sizeBytes / SMALLEST_ENTRY_BYTES));
}

/** Place of the count; the starts follow, relative to the tree's. */
function indexAt({ start, sizeBytes }: IndexableTree): number {
  // One byte is left to the inflater.
  return Math.ceil((start + sizeBytes + 1) / 4);
}

/** For room that was just reserved and may hold anything. */
export function markNotIndexed(tree: IndexableTree): void {
  tree.words[indexAt(tree)] = NOT_INDEXED;
}

/** Reads the whole tree. @throws {CorruptPackError} It ends inside an entry. */
export function addTreeLinks(tree: IndexableTree, links: ObjectIdSet): void {
  const { words, start, sizeBytes } = tree;
  const at = indexAt(tree);
  let count = 0;
  for (let index = 0; index < sizeBytes; ) {
    words[at + 1 + count++] = index;
    index = addEntryLink(tree.bytes, start, index, sizeBytes, links);
  }
  words[at] = count;
}

/**
 * Reads what is new in `tree`, which the copies and inserts of a delta made of `base`.
 * @param copies - All copies of the delta.
 */
export function addDeltifiedTreeLinks(
  base: IndexableTree,
  tree: IndexableTree,
  copies: DeltaCopies,
  links: ObjectIdSet,
): void {
  const { words, start, sizeBytes } = tree;
  const at = indexAt(tree);
  const baseAt = indexAt(base);
  const baseWords = base.words;
  if (baseWords[baseAt] === NOT_INDEXED) addTreeLinks(base, links);
  const baseEnd = baseAt + 1 + (baseWords[baseAt] as number);
  let count = 0;
  let copy = 0;
  let index = 0;
  while (index < sizeBytes) {
    while (copy < copies.count && copies.targetEnd(copy) <= index) copy++;
    if (copy < copies.count && copies.targetStart(copy) <= index) {
      const shift = copies.baseStart(copy) - copies.targetStart(copy);
      const copyEnd = copies.targetEnd(copy);
      let entry = lowerBound(baseWords, index + shift, baseAt + 1, baseEnd);
      // Only where the base has an entry beginning here too, its entries are this tree's.
      if (entry < baseEnd && baseWords[entry] === index + shift) {
        const first = index;
        for (; entry < baseEnd; entry++) {
          const end = (entry + 1 < baseEnd ? (baseWords[entry + 1] as number) : base.sizeBytes) - shift;
          if (end > copyEnd) break;
          words[at + 1 + count++] = index;
          index = end;
        }
        if (index > first) continue;
      }
    }
    words[at + 1 + count++] = index;
    index = addEntryLink(tree.bytes, start, index, sizeBytes, links);
  }
  words[at] = count;
}

/**
 * An entry is octal mode, space, name, NUL, 20 bytes of id.
 * @param index - Where it begins, relative to the tree's `start`.
 * @returns Where the next one begins.
 */
function addEntryLink(
  bytes: Uint8Array,
  start: number,
  index: number,
  sizeBytes: number,
  links: ObjectIdSet,
): number {
  const end = start + sizeBytes;
  const entryStart = start + index;
  let at = entryStart;
  let mode = 0;
  let byte = bytes[at++] as number;
  while (byte !== SPACE && at < end) {
    mode = mode * 8 + (byte - ZERO);
    byte = bytes[at++] as number;
  }
  const nameStart = at;
  while (at < end && bytes[at] !== 0) at++;
  const isNameless = at === nameStart;
  at++;
  if (isNameless || at + OBJECT_ID_BYTES > end || at - entryStart < SMALLEST_ENTRY_BYTES - OBJECT_ID_BYTES) {
    throw new CorruptPackError("tree has a broken entry");
  }
  // 4xxxx is a folder (old trees have permissions there too), 16xxxx a commit of another repository; the rest are blobs.
  const kind = mode & 0o170000;
  if (kind === 0o40000) links.add(bytes, at, TREE);
  else if (kind !== 0o160000) links.add(bytes, at, BLOB);
  return at + OBJECT_ID_BYTES - start;
}

/** Which objects an object refers to. Source: gitformat-pack(5), "object entries"; git-mktree(1), git-mktag(1). */
import { CorruptPackError } from "../../errors.ts";
import { startsWith } from "../byte-text.ts";
import { OBJECT_ID_BYTES } from "../object-id.ts";
import type { ObjectIdSet } from "./object-id-set.ts";
import { OBJECT_TYPE, type ObjectTypeCode } from "./pack-format.ts";

/** The flag under which a link to an object of this type is kept. */
export function linkFlag(type: ObjectTypeCode): number {
  return 1 << type;
}

const COMMIT = linkFlag(OBJECT_TYPE.commit);
const TREE = linkFlag(OBJECT_TYPE.tree);
const BLOB = linkFlag(OBJECT_TYPE.blob);
const TAG = linkFlag(OBJECT_TYPE.tag);

const NEWLINE = 0x0a;
const ZERO = 0x30;
const SMALL_A = 0x61;
const HEX_ID_LENGTH = OBJECT_ID_BYTES * 2;

/** A map, because an object also "has" keys such as `constructor`. */
const FLAG_OF_TYPE_NAME: ReadonlyMap<string, number> = new Map([
  ["commit", COMMIT],
  ["tree", TREE],
  ["blob", BLOB],
  ["tag", TAG],
]);

const TREE_LINE = new TextEncoder().encode("tree ");
const PARENT_LINE = new TextEncoder().encode("parent ");
const OBJECT_LINE = new TextEncoder().encode("object ");
const TYPE_LINE = new TextEncoder().encode("\ntype ");

/** Adds what the commit or tag `bytes[start..end)` refers to; trees are read by tree-links.ts. @throws {CorruptPackError} It cannot be parsed. */
export function addCommitOrTagLinks(
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  links: ObjectIdSet,
): void {
  if (type === OBJECT_TYPE.commit) addCommitLinks(bytes, start, end, links);
  else if (type === OBJECT_TYPE.tag) addTagLinks(bytes, start, end, links);
}

function addCommitLinks(bytes: Uint8Array, start: number, end: number, links: ObjectIdSet): void {
  if (!startsWith(bytes, start, end, TREE_LINE)) throw new CorruptPackError("commit names no tree");
  let index = addHexLink(bytes, start + TREE_LINE.length, end, TREE, links);
  while (startsWith(bytes, index, end, PARENT_LINE)) {
    index = addHexLink(bytes, index + PARENT_LINE.length, end, COMMIT, links);
  }
}

function addTagLinks(bytes: Uint8Array, start: number, end: number, links: ObjectIdSet): void {
  if (!startsWith(bytes, start, end, OBJECT_LINE)) throw new CorruptPackError("tag names no object");
  const typeStart = start + OBJECT_LINE.length + HEX_ID_LENGTH;
  if (!startsWith(bytes, typeStart, end, TYPE_LINE)) throw new CorruptPackError("tag names no type");
  const nameStart = typeStart + TYPE_LINE.length;
  const nameEnd = bytes.indexOf(NEWLINE, nameStart);
  const isCutOff = nameEnd < 0 || nameEnd >= end;
  const name = new TextDecoder().decode(bytes.subarray(nameStart, isCutOff ? nameStart : nameEnd));
  const flag = FLAG_OF_TYPE_NAME.get(name);
  if (flag === undefined)
    throw new CorruptPackError("tag names an unknown type", { type: name.slice(0, 20) });
  addHexLink(bytes, start + OBJECT_LINE.length, end, flag, links);
}

const hexLinkBytes = new Uint8Array(OBJECT_ID_BYTES);

/** @returns The index after the id and its newline. */
function addHexLink(bytes: Uint8Array, start: number, end: number, flag: number, links: ObjectIdSet): number {
  if (start + HEX_ID_LENGTH >= end || bytes[start + HEX_ID_LENGTH] !== NEWLINE)
    throw new CorruptPackError("object id is cut off");
  for (let i = 0; i < OBJECT_ID_BYTES; i++) {
    hexLinkBytes[i] =
      (hexDigit(bytes[start + 2 * i] as number) << 4) | hexDigit(bytes[start + 2 * i + 1] as number);
  }
  links.add(hexLinkBytes, 0, flag);
  return start + HEX_ID_LENGTH + 1;
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte < ZERO + 10) return byte - ZERO;
  if (byte >= SMALL_A && byte < SMALL_A + 6) return byte - SMALL_A + 10;
  throw new CorruptPackError("object id has a character that is not a hex digit", { byte });
}

/** Reads trees for a walk. */

import { CorruptPackError } from "../../errors.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { TreeCursor } from "../objects.ts";
import type { ObjectReader } from "../ports.ts";

/** @throws {CorruptPackError} It is none, or it cannot be read. */
export async function readTree(reader: ObjectReader, treeNumber: ObjectNumber): Promise<TreeCursor> {
  const { type, bytes } = await reader.read(treeNumber);
  if (type !== "tree") throw new CorruptPackError("not a tree", { id: reader.objectId(treeNumber), type });
  return new TreeCursor(bytes);
}

/** @returns The numbers of what the tree holds, without submodules. @throws {CorruptPackError} Some of it is missing. */
export async function readTreeEntries(reader: ObjectReader, treeNumber: ObjectNumber): Promise<number[]> {
  const entries: number[] = [];
  for (const cursor = await readTree(reader, treeNumber); !cursor.isAtEnd; cursor.next()) {
    if (cursor.isGitlink) continue;
    const objectNumber = reader.find(cursor.bytes, cursor.idStart);
    if (objectNumber < 0) throw missingEntry(reader, treeNumber);
    entries.push(objectNumber);
  }
  return entries;
}

export function missingEntry(reader: ObjectReader, treeNumber: ObjectNumber): CorruptPackError {
  return new CorruptPackError("tree names an object that is missing", {
    treeId: reader.objectId(treeNumber),
  });
}

/** The few ways to name an object that clients use beside its id. Source: gitrevisions(7). */
import { bytesOfText } from "../byte-text.ts";
import { isObjectId, type ObjectId, objectIdAt } from "../object-id.ts";
import { TreeCursor } from "../objects.ts";
import type { ObjectReader, RefList } from "../ports.ts";
import { CommitTable } from "../walk/commit-table.ts";
import { peelObject } from "../walk/peel.ts";
import { findUnreachable } from "../walk/reachable.ts";
import { findRef, refPlaces, resolveHead } from "./find-refs.ts";

/** @returns What the refs point to that a short name may mean; one of them, if it is not ambiguous. */
export function findRefs(refList: RefList, name: string): ObjectId[] {
  const head = name === "HEAD" ? resolveHead(refList) : undefined;
  const matching = refPlaces(name).flatMap((fullName) => findRef(refList, fullName)?.id ?? []);
  return head === undefined ? matching : [head.id, ...matching];
}

/**
 * @param revision - An object id, a ref, or one of these with `:<path>`.
 * @param mayHoldUnreachable - Then an object id that no ref reaches is not found, and nor is what is below it.
 * @returns `undefined` if there is no such object.
 */
export async function findRevision(
  objects: ObjectReader,
  refList: RefList,
  revision: string,
  mayHoldUnreachable: boolean,
): Promise<ObjectId | undefined> {
  const colon = revision.indexOf(":");
  const start = colon < 0 ? revision : revision.slice(0, colon);
  const startId = isObjectId(start) ? start : findRefs(refList, start)[0];
  if (startId === undefined || objects.findId(startId) < 0) return undefined;
  const isNamedById = start === startId;
  if (isNamedById && mayHoldUnreachable && (await findUnreachable(objects, refList, [startId])).size > 0)
    return undefined;
  if (colon < 0) return startId;
  const path = revision.slice(colon + 1).split("/");
  return findPath(objects, startId, path);
}

async function findPath(
  objects: ObjectReader,
  startId: ObjectId,
  path: readonly string[],
): Promise<ObjectId | undefined> {
  const peeled = await peelObject(objects, startId);
  if (peeled === undefined || peeled.type === "blob") return undefined;
  let objectNumber = peeled.objectNumber;
  if (peeled.type === "commit") {
    const table = new CommitTable(objects);
    const row = table.rowOf(objectNumber);
    await table.load(row);
    objectNumber = table.treeNumber(row);
  }
  for (const name of path) {
    const { type, bytes } = await objects.read(objectNumber);
    const entryId = type === "tree" ? findEntry(bytes, bytesOfText(name)) : undefined;
    objectNumber = entryId === undefined ? -1 : objects.findId(entryId);
    if (objectNumber < 0) return undefined;
  }
  return objects.objectId(objectNumber);
}

function findEntry(tree: Uint8Array, name: Uint8Array): ObjectId | undefined {
  for (const cursor = new TreeCursor(tree); !cursor.isAtEnd; cursor.next()) {
    const { nameStart, nameEnd, idStart } = cursor;
    const isSame =
      nameEnd - nameStart === name.length && name.every((byte, i) => tree[nameStart + i] === byte);
    if (isSame) return objectIdAt(tree, idStart);
  }
  return undefined;
}

/** Finishes a new pack's history where it leads into older packs. */
import { CorruptPackError } from "../errors.ts";
import { introducedObjects } from "../git/history/introduced-objects.ts";
import type { PackHistory } from "../git/history/pack-history.ts";
import { OBJECT_ID_BYTES, objectIdAt } from "../git/object-id.ts";
import { parseCommit } from "../git/objects.ts";
import type { ObjectBody } from "../git/pack/delta.ts";
import { PackIndex } from "../git/pack/index-v2.ts";
import type { ObjectReader } from "../git/ports.ts";
import { type BuiltHistory, Externals } from "../indexer/build-history.ts";

/**
 * @param index - Of the new pack.
 * @param reader - Over all packs, the new one included.
 * @throws {CorruptPackError} Something that a commit needs is nowhere.
 */
export async function completeHistory(
  { history, openRows }: BuiltHistory,
  index: Uint8Array,
  reader: ObjectReader,
): Promise<PackHistory> {
  const packIndex = new PackIndex(index);
  const externals = new Externals(packIndex.objectCount);
  for (let at = 0; at < history.externalIds.length; at += OBJECT_ID_BYTES)
    externals.reference(objectIdAt(history.externalIds, at));
  const reference = (objectNumber: number): number => {
    const id = reader.objectId(objectNumber);
    const local = packIndex.find(id);
    return local >= 0 ? local : externals.reference(id);
  };
  const additions = new Map<number, number[]>();
  for (const row of openRows) {
    const commitId = packIndex.objectId(history.commitObjects[row] as number);
    additions.set(row, (await introducedBy(reader.findId(commitId), reader)).map(reference));
  }
  return { ...history, ...withAdditions(history, additions), externalIds: externals.ids() };
}

async function introducedBy(commitNumber: number, reader: ObjectReader): Promise<number[]> {
  const commit = parseCommit((await reader.read(commitNumber)).bytes);
  const parentTrees: number[] = [];
  for (const parentId of commit.parentIds) {
    const parent = parseCommit((await reader.read(reader.findId(parentId))).bytes);
    parentTrees.push(reader.findId(parent.treeId));
  }
  const find = (bytes: Uint8Array, start: number): number => reader.find(bytes, start);
  const steps = introducedObjects(reader.findId(commit.treeId), parentTrees, find);
  let step = steps.next();
  while (!step.done)
    step = steps.next(await Promise.all(step.value.map((number) => readBody(reader, number))));
  if (step.value === undefined) {
    throw new CorruptPackError("commit needs an object that is nowhere", {
      id: reader.objectId(commitNumber),
    });
  }
  return step.value;
}

async function readBody(reader: ObjectReader, objectNumber: number): Promise<ObjectBody> {
  const { bytes } = await reader.read(objectNumber);
  return { bytes, start: 0, sizeBytes: bytes.length };
}

/** The introduced objects with those of the open rows, which had none, put in. */
function withAdditions(
  { introduced, introducedEnds }: PackHistory,
  additions: ReadonlyMap<number, readonly number[]>,
): Pick<PackHistory, "introduced" | "introducedEnds"> {
  let addedCount = 0;
  for (const objects of additions.values()) addedCount += objects.length;
  const allIntroduced = new Uint32Array(introduced.length + addedCount);
  const allEnds = new Uint32Array(introducedEnds.length);
  let at = 0;
  let start = 0;
  introducedEnds.forEach((end, row) => {
    const own = additions.get(row) ?? introduced.subarray(start, end);
    allIntroduced.set(own, at);
    at += own.length;
    allEnds[row] = at;
    start = end;
  });
  return { introduced: allIntroduced, introducedEnds: allEnds };
}

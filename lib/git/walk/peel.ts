/** Follows annotated tags to what they finally point to. */

import { LimitExceededError } from "../../errors.ts";
import type { ObjectId } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { parseTag } from "../objects.ts";
import type { ObjectType } from "../pack/pack-format.ts";
import type { ObjectReader } from "../ports.ts";

/** No real repository nests tags this deep; a longer chain is an attempt to keep the mirror busy. */
const MAX_TAG_CHAIN = 100;

/** A look-up in the indexes, in steps of `WorkSlices`. */
const PEEL_STEPS = 5;

export interface PeeledObject {
  readonly objectNumber: ObjectNumber;
  readonly type: ObjectType;
  /** The tags on the way, outermost first; empty if the object is no tag. */
  readonly tagNumbers: readonly number[];
}

/**
 * Pauses when the reader's slice of work is used up: requests name many objects.
 * @returns `undefined` if the object, or one that a tag on the way points to, is not in the repository.
 * @throws {CorruptPackError} A tag is malformed. @throws {LimitExceededError} The chain is too long.
 */
export async function peelObject(reader: ObjectReader, id: ObjectId): Promise<PeeledObject | undefined> {
  if (reader.slices.isDue(PEEL_STEPS)) await reader.slices.pause();
  const tagNumbers: number[] = [];
  for (let objectNumber = reader.findId(id); objectNumber >= 0; ) {
    const type = await reader.readType(objectNumber);
    if (type !== "tag") return { objectNumber, type, tagNumbers };
    if (tagNumbers.length === MAX_TAG_CHAIN) throw new LimitExceededError("too many tags of tags", { id });
    tagNumbers.push(objectNumber);
    const target = reader.history?.tagTargets[objectNumber] ?? -1;
    objectNumber = target >= 0 ? target : await readTarget(reader, objectNumber);
  }
  return undefined;
}

/** @returns -1 if it is not in the repository. */
async function readTarget(reader: ObjectReader, tagNumber: ObjectNumber): Promise<number> {
  const { bytes } = await reader.read(tagNumber);
  return reader.findId(parseTag(bytes).targetId);
}

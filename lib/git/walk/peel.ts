/** Follows annotated tags to what they finally point to. */
import { LimitExceededError } from "../../errors.ts";
import type { ObjectId } from "../object-id.ts";
import { parseTag } from "../objects.ts";
import { OBJECT_TYPE, type ObjectType } from "../pack/pack-format.ts";
import type { ObjectReader } from "../ports.ts";

/** Nobody tags tags of tags this deep; a longer chain is an attempt to keep the mirror busy. */
const MAX_TAG_CHAIN = 100;

export interface PeeledObject {
  readonly objectNumber: number;
  readonly type: ObjectType;
  /** The tags on the way, outermost first; empty if the object is no tag. */
  readonly tagNumbers: readonly number[];
}

/**
 * @returns `undefined` if the object, or one that a tag on the way points to, is not in the repository.
 * @throws {CorruptPackError} A tag is malformed. @throws {LimitExceededError} The chain is too long.
 */
export async function peelObject(reader: ObjectReader, id: ObjectId): Promise<PeeledObject | undefined> {
  const tagNumbers: number[] = [];
  for (let nextId = id; ; ) {
    const objectNumber = reader.findId(nextId);
    if (objectNumber < 0) return undefined;
    const type = await reader.readType(objectNumber);
    if (type !== "tag") return { objectNumber, type, tagNumbers };
    if (tagNumbers.length === MAX_TAG_CHAIN) throw new LimitExceededError("too many tags of tags", { id });
    tagNumbers.push(objectNumber);
    const { bytes } = await reader.read(objectNumber);
    nextId = parseTag(bytes).targetId;
  }
}

/** Begins to read at once, of these objects, the tags that are to be peeled: often each lies in a pack of its own. */
export function readTagsAhead(reader: ObjectReader, ids: Iterable<ObjectId>): void {
  const { history } = reader;
  if (history === undefined) return;
  const tagNumbers: number[] = [];
  for (const id of ids) {
    const objectNumber = reader.findId(id);
    if (objectNumber >= 0 && history.types[objectNumber] === OBJECT_TYPE.tag) tagNumbers.push(objectNumber);
  }
  if (tagNumbers.length > 0) reader.readAhead(tagNumbers);
}

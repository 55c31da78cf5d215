/** What to send: plain data, worked out before any of the pack is written. */
import type { ObjectId } from "../object-id.ts";
import type { ObjectReader, PackBody, PackedObjects, RefList, UploadPackSource } from "../ports.ts";
import { markMissingObjects } from "../walk/missing-objects.ts";
import { ObjectMarks } from "../walk/object-marks.ts";
import { peelObject } from "../walk/peel.ts";
import type { FetchRequest } from "./fetch-request.ts";

export type PackPlan =
  /** Packs as they are, one behind the other. */
  | { readonly kind: "copy-packs"; readonly packs: readonly PackBody[] }
  | {
      readonly kind: "copy-entries";
      readonly objects: PackedObjects;
      readonly objectNumbers: Uint32Array;
      /** Whether the client surely has the object: it may be the base of a delta without being sent. */
      readonly clientHas: (objectNumber: number) => boolean;
    };

/** Progress for the client, in lines as git shows them. */
export interface ProgressText {
  readonly progress: string;
}

/**
 * Yields progress on the way.
 * @param commonCommits - Object numbers of commits that the client has.
 */
export async function* planPack(
  source: UploadPackSource,
  refList: RefList,
  request: FetchRequest,
  commonCommits: readonly number[],
): AsyncGenerator<ProgressText, PackPlan, undefined> {
  const wantsEverything =
    commonCommits.length === 0 && !source.mayHoldUnreachable && coversAllTips(request.wants, refList);
  if (wantsEverything && request.ofsDelta && source.wholePacks !== undefined) {
    return { kind: "copy-packs", packs: source.wholePacks };
  }
  const objects = await source.openObjects();
  if (wantsEverything) {
    const objectNumbers = objects.packs.allObjects();
    yield { progress: `Enumerating objects: ${objectNumbers.length}, done.\n` };
    return { kind: "copy-entries", objects, objectNumbers, clientHas: () => false };
  }
  const marks = new ObjectMarks(objects.objectCount);
  for await (const count of markMissingObjects(objects, marks, { wants: request.wants, commonCommits })) {
    yield { progress: `Enumerating objects: ${count}\r` };
  }
  if (request.includeTag) await markTagsOfSent(objects, marks, refList);
  yield { progress: `Enumerating objects: ${marks.sentCount}, done.\n` };
  const clientHas = (objectNumber: number): boolean => request.thinPack && marks.clientHas(objectNumber);
  return { kind: "copy-entries", objects, objectNumbers: marks.sentObjects, clientHas };
}

function coversAllTips(wants: readonly ObjectId[], { head, refs }: RefList): boolean {
  const wanted = new Set(wants);
  return refs.every(({ id }) => wanted.has(id)) && ("ref" in head || wanted.has(head.commitId));
}

async function markTagsOfSent(reader: ObjectReader, marks: ObjectMarks, { refs }: RefList): Promise<void> {
  for (const { name, id, peeledId } of refs) {
    if (peeledId === undefined || !name.startsWith("refs/tags/")) continue;
    const peeledNumber = reader.findId(peeledId);
    if (peeledNumber < 0 || !marks.isSent(peeledNumber)) continue;
    const peeled = await peelObject(reader, id);
    for (const tagNumber of peeled?.tagNumbers ?? []) marks.markSent(tagNumber);
  }
}

/** What to send: plain data, worked out before any of the pack is written. */

import { BeyondRecentError } from "../history/beyond-recent-error.ts";
import type { PaintedHistory } from "../history/commit-history.ts";
import { canPassByColumns, markMissingByHistory, passingObjects } from "../history/objects-by-history.ts";
import { type ObjectId, objectIdBytes } from "../object-id.ts";
import type { ObjectNumber } from "../object-numbers.ts";
import { OBJECT_TYPE } from "../pack/pack-format.ts";
import type { StreamBudget } from "../pack/stream-prefetch.ts";
import type {
  AnswerItem,
  ObjectReader,
  PackBody,
  PackedObjects,
  RefList,
  UploadPackSource,
} from "../ports.ts";
import { type MissingObjectsRequest, markMissingObjects } from "../walk/missing-objects.ts";
import { goesByTypeAndSize, keepsAllTrees } from "../walk/object-filter.ts";
import { ObjectMarks } from "../walk/object-marks.ts";
import { peelObject } from "../walk/peel.ts";
import { hasOnlyRefValues, refsStartingWith } from "./find-refs.ts";

export type PackPlan =
  /** Packs as they are, one behind the other. */
  | {
      readonly kind: "copy-packs";
      readonly bodies: readonly PackBody[];
      readonly openObjects: () => Promise<PackedObjects>;
      readonly streamBudget: StreamBudget;
    }
  | {
      readonly kind: "copy-entries";
      readonly objects: PackedObjects;
      readonly objectNumbers: Uint32Array;
      /** Whether the client surely has the object: it may be the base of a delta without being sent. */
      readonly clientHas: (objectNumber: ObjectNumber) => boolean;
      /** Whether that may ever be so. */
      readonly isThin: boolean;
    };

/** Progress for the client, in lines as git shows them. */
export interface ProgressText {
  readonly progress: string;
}

/** Plans as a part of the answer, because a long walk is better waited for with progress to look at. */
export type Planning = AsyncGenerator<ProgressText, PackPlan, undefined>;

/** A pack that is finished, or being made for several. */
export interface FinishedPack {
  readonly kind: "copy-answer";
  /** An answer that others get too, a kept recipe, or a plan for this request. */
  readonly origin: "shared" | "recipe" | "planned";
  /** Absent where the maker kept it within the limit of all shared answers. */
  readonly packBytes?: number;
  readonly items: AsyncIterable<AnswerItem>;
}

export type AnswerPlanning = AsyncGenerator<ProgressText, PackPlan | FinishedPack, undefined>;

export interface PackRequest extends MissingObjectsRequest {
  readonly wants: readonly ObjectId[];
  readonly thinPack: boolean;
  readonly ofsDelta: boolean;
  readonly includeTag: boolean;
}

/** Yields progress on the way. */
export async function* planPack(
  source: UploadPackSource,
  refList: RefList,
  request: PackRequest,
  isWhole = wantsAllTips(source, refList, request),
): AsyncGenerator<ProgressText, PackPlan, undefined> {
  const { filter } = request;
  if (isWhole && copiesPacks(request)) {
    const { packBodies: bodies, streamBudget } = source;
    return { kind: "copy-packs", bodies, openObjects: () => source.openObjects(), streamBudget };
  }
  const objects = await source.openObjects();
  const { history } = objects;
  const passesByColumns = filter === undefined || (history !== undefined && canPassByColumns(filter));
  if (isWhole && passesByColumns) {
    const objectNumbers =
      filter === undefined || history === undefined
        ? objects.packs.allObjects()
        : passingObjects(objects, history, refList, request.wants, filter);
    return { kind: "copy-entries", objects, objectNumbers, clientHas: () => false, isThin: false };
  }
  const marks = new ObjectMarks(objects.objectCount);
  const painted = await markByHistory(objects, marks, request);
  if (painted === undefined) {
    for await (const count of markMissingObjects(objects, marks, request)) {
      yield { progress: `Enumerating objects: ${count}\r` };
    }
  }
  if (request.includeTag) await markTagsOfSent(source, objects, marks, refList);
  const clientHas = painted === undefined ? thinBases(request, marks) : hadBases(request, objects, painted);
  return {
    kind: "copy-entries",
    objects,
    objectNumbers: marks.sentObjects,
    // What is sent has a place in the pack: as a base by name, too, it could close a circle.
    clientHas: (objectNumber) => !marks.isMarked(objectNumber) && clientHas(objectNumber),
    isThin: request.thinPack && request.commonCommits.length > 0,
  };
}

/** @returns `undefined` if the request needs a walk: for trees by depth, path or name, or history cut short. */
async function markByHistory(
  objects: PackedObjects,
  marks: ObjectMarks,
  request: PackRequest,
): Promise<PaintedHistory | undefined> {
  const { history } = objects;
  const { filter, shallow } = request;
  if (history === undefined || shallow !== undefined) return undefined;
  if (filter !== undefined && !goesByTypeAndSize(filter)) return undefined;
  return markMissingByHistory(objects, history, marks, request);
}

function hadBases(
  { thinPack, filter }: PackRequest,
  { history }: PackedObjects,
  painted: PaintedHistory,
): (objectNumber: ObjectNumber) => boolean {
  if (!thinPack) return () => false;
  if (filter === undefined) return (objectNumber) => painted.isHad(objectNumber);
  if (!keepsAllTrees(filter)) return () => false;
  return (objectNumber) => history?.types[objectNumber] === OBJECT_TYPE.tree && painted.isHad(objectNumber);
}

/** A client with a filter has not all that belongs to its commits. */
function thinBases(
  { thinPack, filter }: PackRequest,
  marks: ObjectMarks,
): (objectNumber: ObjectNumber) => boolean {
  if (!thinPack) return () => false;
  if (filter === undefined) return (objectNumber) => marks.clientHas(objectNumber);
  if (!keepsAllTrees(filter)) return () => false;
  return (objectNumber) => marks.clientHasTree(objectNumber);
}

/** Whether of all that there is the packs may be sent as they are. */
export function copiesPacks({ ofsDelta, filter }: Pick<PackRequest, "ofsDelta" | "filter">): boolean {
  return ofsDelta && filter === undefined;
}

/** Whether the wants cover every ref, filter aside. Looks at each ref. */
export function wantsAllTips(source: UploadPackSource, refList: RefList, request: PackRequest): boolean {
  const { wants, commonCommits, shallow } = request;
  if (commonCommits.length > 0 || source.mayHoldUnreachable) return false;
  return (shallow === undefined || !shallow.table.hasCuts) && coversAllTips(wants, refList);
}

function coversAllTips(wants: readonly ObjectId[], refList: RefList): boolean {
  const { head } = refList;
  const wanted = new Set(wants);
  return ("ref" in head || wanted.has(head.id)) && hasOnlyRefValues(refList, wanted);
}

/**
 * Marks the tags of marked objects, for `include-tag`.
 * @throws {BeyondRecentError} The recent objects lack one of these tags.
 */
async function markTagsOfSent(
  { isRecent = false }: UploadPackSource,
  reader: ObjectReader,
  marks: ObjectMarks,
  refList: RefList,
): Promise<void> {
  const ids: ObjectId[] = [];
  for (const { id, peeledId } of refsStartingWith(refList, "refs/tags/")) {
    if (reader.slices.isDue(1)) await reader.slices.pause();
    // Not by `findId`: whether a client may name the object does not matter.
    const peeledNumber = peeledId === undefined ? -1 : reader.find(objectIdBytes(peeledId), 0);
    if (peeledNumber >= 0 && marks.isMarked(peeledNumber)) ids.push(id);
  }
  for (const id of ids) {
    const peeled = await peelObject(reader, id);
    if (peeled === undefined && isRecent) throw new BeyondRecentError();
    for (const tagNumber of peeled?.tagNumbers ?? []) marks.markSent(tagNumber);
  }
}

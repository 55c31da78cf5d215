/**
 * Works out where a client's history ends after the answer, and which shallow lines say so.
 * Source: gitprotocol-v2(5), "shallow-info section"; gitprotocol-pack(5), "shallow-update".
 */

import type { ObjectId } from "../object-id.ts";
import type { CommitRow } from "../object-numbers.ts";
import type { ObjectReader, RefList, UploadPackSource } from "../ports.ts";
import { CommitTable } from "../walk/commit-table.ts";
import { cutAtDepth, cutByRevisions, depthOfNearest, type HistoryCut } from "../walk/history-cut.ts";
import type { ShallowHistory } from "../walk/missing-objects.ts";
import { peelObject } from "../walk/peel.ts";
import { type FindServed, findServedBy } from "../walk/reachable.ts";
import type { WorkSlices } from "../work-slices.ts";
import type { Deepening, HistoryRequest } from "./fetch-request.ts";
import { LOOK_UP_STEPS } from "./find-refs.ts";
import { INFINITE_DEPTH } from "./history-lines.ts";
import { RefusedRequestError } from "./refused-request.ts";
import { findRefs } from "./revision.ts";

/** The `shallow` and `unshallow` lines. */
export interface ShallowLines {
  /** Commits whose parents the client will not have, except those that it named itself. */
  readonly shallowIds: readonly ObjectId[];
  /** Commits that it named and whose parents it gets. */
  readonly unshallowIds: readonly ObjectId[];
}

export interface ShallowPlan extends ShallowLines {
  readonly history: ShallowHistory;
}

/** @throws {RefusedRequestError} The request makes no sense for this repository. */
export async function planShallow(
  source: Pick<UploadPackSource, "mayHoldUnreachable"> & { openObjects(): Promise<ObjectReader> },
  refList: RefList,
  { shallows, deepen }: HistoryRequest,
  wants: readonly ObjectId[],
): Promise<ShallowPlan> {
  const objects = await source.openObjects();
  const findServed = await findServedBy(objects, refList, source.mayHoldUnreachable);
  const table = new CommitTable(objects);
  const clientRows = await readClientRows(objects, table, shallows, findServed);
  const findCommits = (ids: readonly ObjectId[]): Promise<number[]> => commitRows(objects, table, ids);
  const wantRows = deepen === undefined ? [] : await findCommits(wants);
  const excludedIds =
    deepen?.kind === "revisions" ? await findExcluded(refList, deepen.excluded, objects.slices) : [];
  const rows = { wantRows, excludedRows: await findCommits(excludedIds), clientRows };
  const { boundaryRows, innerRows } =
    deepen === undefined ? NOTHING_CUT : await cutHistory(table, deepen, rows);
  const shallowRows = [...boundaryRows].filter((row) => !clientRows.has(row));
  const deepenedRows = [...clientRows].filter((row) => innerRows.has(row));
  for (const row of clientRows) table.cut(row);
  for (const row of shallowRows) table.cut(row);
  for (const row of clientRows) table.endClientHistory(row);
  return {
    shallowIds: await commitIds(objects, table, shallowRows),
    unshallowIds: await commitIds(objects, table, deepenedRows),
    history: { table, deepenedRows },
  };
}

const NOTHING_CUT: HistoryCut = { boundaryRows: new Set(), innerRows: new Set() };

/**
 * Missing ones are skipped, as in git: no object in the repository is above them. So are those that no ref reaches: neither
 * they nor what is below them must be served for being named.
 */
async function readClientRows(
  objects: ObjectReader,
  table: CommitTable,
  shallows: readonly ObjectId[],
  findServed: FindServed,
): Promise<Set<number>> {
  const rows = new Set<number>();
  for (const id of shallows) {
    if (objects.slices.isDue(1)) await objects.slices.pause();
    const objectNumber = findServed(id);
    if (objectNumber < 0) continue;
    if ((await objects.readType(objectNumber)) !== "commit")
      throw new RefusedRequestError(`invalid shallow object ${id}`);
    const row = table.rowOf(objectNumber);
    await table.load(row);
    rows.add(row);
  }
  return rows;
}

interface NamedRows {
  readonly wantRows: readonly number[];
  readonly excludedRows: readonly number[];
  readonly clientRows: ReadonlySet<number>;
}

async function cutHistory(table: CommitTable, deepen: Deepening, rows: NamedRows): Promise<HistoryCut> {
  const { wantRows, excludedRows, clientRows } = rows;
  if (deepen.kind === "revisions") {
    const cut = await cutByRevisions(table, wantRows, deepen.sinceSeconds, excludedRows);
    if (cut.boundaryRows.size + cut.innerRows.size === 0)
      throw new RefusedRequestError("no commits selected for shallow requests");
    return cut;
  }
  if (deepen.depth === INFINITE_DEPTH) return { boundaryRows: new Set(), innerRows: clientRows };
  if (!deepen.isRelative) return cutAtDepth(table, wantRows, deepen.depth);
  const clientDepth = await depthOfNearest(table, wantRows, clientRows);
  return clientDepth === undefined ? NOTHING_CUT : cutAtDepth(table, wantRows, clientDepth + deepen.depth);
}

async function findExcluded(
  refList: RefList,
  names: readonly string[],
  slices: WorkSlices,
): Promise<ObjectId[]> {
  const ids: ObjectId[] = [];
  for (const name of names) {
    if (slices.isDue(LOOK_UP_STEPS)) await slices.pause();
    const [id, ...others] = findRefs(refList, name);
    if (others.length > 0) throw new RefusedRequestError(`ambiguous deepen-not: ${name}`);
    if (id === undefined) throw new RefusedRequestError(`deepen-not is not a ref: ${name}`);
    ids.push(id);
  }
  return ids;
}

async function commitIds(
  objects: ObjectReader,
  table: CommitTable,
  rows: readonly CommitRow[],
): Promise<ObjectId[]> {
  const ids: ObjectId[] = [];
  for (const row of rows) {
    if (objects.slices.isDue(1)) await objects.slices.pause();
    ids.push(objects.objectId(table.objectNumber(row)));
  }
  return ids;
}

/** Tags are followed; what is no commit in the end has no history. */
async function commitRows(
  objects: ObjectReader,
  table: CommitTable,
  ids: readonly ObjectId[],
): Promise<number[]> {
  const rows = new Set<number>();
  for (const id of ids) {
    const peeled = await peelObject(objects, id);
    if (peeled?.type === "commit") rows.add(table.rowOf(peeled.objectNumber));
  }
  return [...rows];
}

const SHALLOW_PREFIX = "0034shallow ";
const UNSHALLOW_PREFIX = "0036unshallow ";
const LINES_A_CHUNK = 1_000;
const LINES_A_STEP = 10;

/** Large histories are cut at a hundred thousand commits, and a client may name as many. */
export async function encodeShallowLines(
  { shallowIds, unshallowIds }: ShallowLines,
  slices: WorkSlices,
): Promise<Uint8Array[]> {
  const encoded: Uint8Array[] = [];
  for (const [prefix, ids] of [
    [SHALLOW_PREFIX, shallowIds],
    [UNSHALLOW_PREFIX, unshallowIds],
  ] as const) {
    for (let start = 0; start < ids.length; start += LINES_A_CHUNK) {
      const lines = ids.slice(start, start + LINES_A_CHUNK).map((id) => prefix + id);
      const bytes = Buffer.from(lines.join(""), "latin1");
      const lineBytes = bytes.length / lines.length;
      // One by one: each may be wrapped in a packet of its own.
      for (let offset = 0; offset < bytes.length; offset += lineBytes)
        encoded.push(bytes.subarray(offset, offset + lineBytes));
      await slices.spend(lines.length / LINES_A_STEP);
    }
  }
  return encoded;
}

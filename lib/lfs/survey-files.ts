/**
 * Compares a repository's pointers with what is known of its files, oid by oid: what is new, what is to be asked about again, and
 * what has no pointer any more. Nothing but that is kept in memory of a million files.
 */
import { eachOid } from "../git/pack/oid-records.ts";
import { LFS_STATE, type LfsRecord, NEVER_SECONDS, type RightsTable } from "../repo/lfs-rights-table.ts";
import type { LfsRights } from "../repo/stored-lfs-rights.ts";
import { isConfirmationDue } from "./confirmations.ts";
import type { LfsCopyPolicy } from "./lfs-policy.ts";
import type { RepositoryPointers } from "./repository-pointers.ts";

export interface SurveyedFile {
  readonly oid: string;
  readonly sizeBytes: number;
  /** Absent where nothing is known of it. */
  readonly state?: LfsRecord["state"];
}

export interface Survey {
  /** Each oid once, and what their files have in all. */
  readonly pointers: number;
  readonly pointerBytes: number;
  /** To files that nothing is known of, in packs that were not planned. */
  readonly fresh: SurveyedPointers;
  readonly due: DueFiles;
  /** Whether there is a record without a pointer. */
  readonly hasUnpointed: boolean;
}

interface DueFiles {
  /** Whether they were looked for. */
  readonly isSurveyed: boolean;
  /** Stored, and to be confirmed. */
  readonly confirmations: readonly SurveyedFile[];
  /** Not to be had before, or not copied though planned. */
  readonly again: readonly SurveyedFile[];
}

export interface SurveyOptions {
  readonly policy: LfsCopyPolicy;
  /** Pointers to larger files are passed over. What was too large by an earlier limit is due. */
  readonly maxFileBytes: number;
  readonly nowMs: number;
  /** Whether what is planned already is planned again: its jobs may be lost, or its file was forgotten. */
  readonly isAsked?: boolean;
}

/** Of one plan. */
const MIN_MAX_DUE = 10_000;
/**
 * Of more files a fifth is asked about in a plan, once a day. So all are within a week, none much later than another, and a right
 * that lasts 15 days is renewed before it ends.
 */
const PLANS_FOR_ALL = 5;
/** Plans are a day apart, those after a push less: their files may still wait in the queue. */
const DUE_EVERY_MS = 20 * 60 * 60 * 1000;

export async function surveyFiles(
  { repository, packs }: RepositoryPointers,
  { document, tables }: LfsRights,
  { policy, maxFileBytes, nowMs, isAsked = false }: SurveyOptions,
): Promise<Survey> {
  const isSame = document.plannedFor === policy && document.plannedRefs === repository.manifest.refs.sha256;
  // A ref may have moved to a commit that was here before.
  const planned = new Set(isSame && !isAsked ? document.plannedPacks : []);
  const known = packs.flatMap(({ pack, pointers }, number) =>
    pointers === undefined ? [] : [{ pointers, number, isPlanned: planned.has(pack.id) }],
  );
  const newestFirst = tables.toReversed();
  const all = [...newestFirst, ...known.map(({ pointers }) => pointers)].map(({ records }) => records);
  const fresh = new SurveyedPointers();
  const due = new DueSurvey(tables, { plannedAt: document.duePlannedAt, nowMs, isAsked, maxFileBytes });
  let pointers = 0;
  let pointerBytes = 0;
  let hasUnpointed = false;
  await eachOid(all, (rows) => {
    const record = newestRecord(newestFirst, rows);
    let isPointed = false;
    for (const [i, { pointers: table, number, isPlanned }] of known.entries()) {
      const first = rows[newestFirst.length + i] as number;
      if (first < 0) continue;
      if (!isPointed) {
        pointers += 1;
        pointerBytes += table.sizeBytesAt(first);
      }
      isPointed = true;
      if (record !== undefined || isPlanned) continue;
      for (let row = first; row < table.records.count; row++) {
        if (table.records.compareOid(row, table.records, first) !== 0) break;
        if (table.sizeBytesAt(row) <= maxFileBytes) fresh.add(number, row);
      }
    }
    if (record !== undefined) due.add(record);
    if (record !== undefined && !isPointed) hasUnpointed = true;
  });
  return { pointers, pointerBytes, fresh, due, hasUnpointed };
}

function newestRecord(newestFirst: readonly RightsTable[], rows: Int32Array): LfsRecord | undefined {
  for (const [i, table] of newestFirst.entries()) {
    const row = rows[i] as number;
    if (row >= 0) return table.recordAt(row);
  }
  return undefined;
}

class DueSurvey implements DueFiles {
  readonly confirmations: SurveyedFile[] = [];
  readonly again: SurveyedFile[] = [];
  readonly isSurveyed: boolean;
  readonly #maxFiles: number;
  readonly #nowSeconds: number;
  readonly #isAsked: boolean;
  readonly #maxFileBytes: number;

  constructor(
    tables: readonly RightsTable[],
    {
      plannedAt,
      nowMs,
      isAsked,
      maxFileBytes,
    }: { plannedAt: string | undefined; nowMs: number; isAsked: boolean; maxFileBytes: number },
  ) {
    const records = tables.reduce((sum, { records }) => sum + records.count, 0);
    const sinceMs = nowMs - Date.parse(plannedAt ?? "1970-01-01");
    this.isSurveyed = records <= MIN_MAX_DUE || sinceMs >= DUE_EVERY_MS;
    this.#maxFiles = this.isSurveyed ? Math.max(MIN_MAX_DUE, Math.ceil(records / PLANS_FOR_ALL)) : 0;
    this.#nowSeconds = nowMs / 1000;
    this.#isAsked = isAsked;
    this.#maxFileBytes = maxFileBytes;
  }

  add(record: LfsRecord): void {
    const { oid, sizeBytes, state, seconds } = record;
    if (this.#isAsked && state === LFS_STATE.pending) {
      this.again.push({ oid, sizeBytes, state });
      return;
    }
    if (this.confirmations.length + this.again.length >= this.#maxFiles) return;
    const isStored = state === LFS_STATE.stored;
    const isDue = isStored
      ? isConfirmationDue(record, this.#nowSeconds)
      : seconds <= this.#nowSeconds || (seconds === NEVER_SECONDS && sizeBytes <= this.#maxFileBytes);
    if (!isDue) return;
    (isStored ? this.confirmations : this.again).push({ oid, sizeBytes, state });
  }
}

/** Places of pointers: a pack's number, and a row of its sidecar. Those of one oid follow each other. */
export class SurveyedPointers {
  /** Numbers of those that have any. */
  readonly packs = new Set<number>();
  #places = new Uint32Array(0);
  count = 0;

  add(pack: number, row: number): void {
    if (this.count * 2 === this.#places.length) {
      const grown = new Uint32Array(Math.max(1024, this.#places.length * 2));
      grown.set(this.#places);
      this.#places = grown;
    }
    this.#places.set([pack, row], this.count * 2);
    this.packs.add(pack);
    this.count += 1;
  }

  at(i: number): { readonly pack: number; readonly row: number } {
    return { pack: this.#places[i * 2] as number, row: this.#places[i * 2 + 1] as number };
  }
}

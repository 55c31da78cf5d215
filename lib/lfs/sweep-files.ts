/**
 * Deletes LFS files that no repository has a record of any more, a day after a sweep first found them so; see sweep-notes.ts.
 * Repositories that are not mirrored any more count until their data is deleted.
 */
import { assertNotStopped, UnfinishedError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { heldRepositories } from "../mirror/workspace-index.ts";
import {
  LFS_FILE_FOLDER,
  LFS_PART_FOLDER,
  lfsFileKey,
  type RepositoryUuid,
  repositoryKeys,
} from "../repo/layout.ts";
import { LFS_STATE } from "../repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { isAbandoned, type SweepNotes, sweepNotes, TAKE_OVER_MS } from "./sweep-notes.ts";

export interface SweepOptions {
  readonly store: BlobStore;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Since 1970. */
  readonly now?: () => number;
}

export interface SweepReport {
  readonly files: number;
  readonly unusedFiles: number;
  readonly deletedFiles: number;
  /** Many are unused at once: they wait for a week. */
  readonly isHeld: boolean;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
const SWEEP_EVERY_MS = 20 * HOUR_MS;
/** Where more than both are unused, an index or a table may have been lost: they wait for a week. */
const HELD_ABOVE_FILES = 20;
const HELD_ABOVE_SHARE = 0.5;
/** Others are noted by later sweeps. */
const MAX_NOTED = 20_000;
const MAX_DELETED = 5_000;
const DELETES_AT_ONCE = 16;
const PARTS_KEPT_MS = 7 * DAY_MS;

const NEVER = new Date(0).toISOString();

/** One request. */
export async function isSweepDue(store: BlobStore, nowMs: number): Promise<boolean> {
  const { value } = await sweepNotes(store).readForChange();
  const { ranAt = NEVER, deleting } = value ?? {};
  return (
    nowMs - Date.parse(ranAt) >= SWEEP_EVERY_MS || (deleting !== undefined && isAbandoned(deleting, nowMs))
  );
}

/**
 * @returns `undefined` if there was a sweep just now.
 * @throws {MirrorError} What a repository has a record of cannot be read: then nothing is deleted. @throws {StoppedError}
 */
export async function sweepFiles(options: SweepOptions): Promise<SweepReport | undefined> {
  const { store, log, now = Date.now } = options;
  const nowMs = now();
  if (!(await isSweepDue(store, nowMs))) return undefined;
  const notes = sweepNotes(store);
  const before = (await notes.readForChange()).value;
  const used = await usedFiles(options, nowMs);
  const found = await findUnused(used, before, nowMs, options);
  const oids = await noteFound(found, before, nowMs, options);
  const deletedFiles = await deleteFiles(oids, found.unused, nowMs, options);
  await removeOldParts(nowMs, options);
  const { files, unusedFiles, isHeld } = found;
  const report = { files, unusedFiles, deletedFiles, isHeld };
  log.info("lfs:swept", { ...report });
  return report;
}

/** Removes tables that are not listed on the way. 12 bytes of each oid: two that begin alike are kept, should one of them be used. */
async function usedFiles({ store, signal }: SweepOptions, nowMs: number): Promise<ReadonlySet<string>> {
  const used = new Set<string>();
  for await (const uuid of heldRepositories(store)) {
    assertNotStopped(signal);
    const rights = new StoredLfsRights(store, uuid);
    const { damage } = await rights.readDocument();
    if (damage !== undefined) throw damage;
    const old = await oldTables(store, uuid, nowMs);
    // After the list: what was added since is listed by now, and is younger.
    const current = await rights.read();
    const listed = new Set(current.document.tables.map(({ id }) => repositoryKeys(uuid).lfsTable(id)));
    for (const key of old) if (!listed.has(key)) await store.delete(key);
    await current.each(({ oid, state }) => {
      if (state === LFS_STATE.stored) used.add(shortened(oid));
    });
  }
  return used;
}

/** Keys of a repository's tables that a writer has had a day to list. One that was killed left its table without. */
async function oldTables(store: BlobStore, uuid: RepositoryUuid, nowMs: number): Promise<readonly string[]> {
  const old: string[] = [];
  for await (const { key, modifiedAtMs } of store.list(repositoryKeys(uuid).lfsTableFolder))
    if (nowMs - modifiedAtMs > DAY_MS) old.push(key);
  return old;
}

function shortened(oid: string): string {
  return Buffer.from(oid.slice(0, 24), "hex").toString("latin1");
}

interface FoundFiles {
  readonly files: number;
  /** All, also those that are not noted. */
  readonly unusedFiles: number;
  /** Since when, by oid: at most {@link MAX_NOTED}. */
  readonly unused: ReadonlyMap<string, string>;
  readonly due: ReadonlySet<string>;
  readonly isHeld: boolean;
}

async function findUnused(
  used: ReadonlySet<string>,
  before: SweepNotes | undefined,
  nowMs: number,
  { store, log, signal }: SweepOptions,
): Promise<FoundFiles> {
  let files = 0;
  let unusedFiles = 0;
  const unused = new Map<string, string>();
  const modifiedAtMs = new Map<string, number>();
  for await (const blob of store.list(LFS_FILE_FOLDER)) {
    assertNotStopped(signal);
    const oid = blob.key.slice(blob.key.lastIndexOf("/") + 1);
    if (lfsFileKey(oid) !== blob.key) continue;
    files += 1;
    if (used.has(shortened(oid))) continue;
    unusedFiles += 1;
    if (unused.size >= MAX_NOTED) continue;
    unused.set(oid, before?.unused[oid] ?? new Date(nowMs).toISOString());
    modifiedAtMs.set(oid, blob.modifiedAtMs);
  }
  const isHeld = unusedFiles > Math.max(HELD_ABOVE_FILES, HELD_ABOVE_SHARE * files);
  if (isHeld) log.warn("lfs:sweep-held", { files, unusedFiles });
  const graceMs = isHeld ? 7 * DAY_MS : DAY_MS;
  const due = new Set<string>();
  for (const [oid, since] of unused) {
    const sinceMs = Math.max(Math.min(nowMs, Date.parse(since)), modifiedAtMs.get(oid) ?? nowMs);
    if (nowMs - sinceMs >= graceMs && due.size < MAX_DELETED) due.add(oid);
  }
  return { files, unusedFiles, unused, due, isHeld };
}

/** @returns What this sweep deletes: noted as being deleted. */
async function noteFound(
  { unused, due }: FoundFiles,
  before: SweepNotes | undefined,
  nowMs: number,
  { store }: SweepOptions,
): Promise<readonly string[]> {
  let oids: string[] = [];
  await sweepNotes(store).change((current) => {
    // What a copier has taken out meanwhile stays out.
    const wasTakenOut = (oid: string) =>
      before?.unused[oid] !== undefined && current?.unused[oid] === undefined;
    const left = [...unused].filter(([oid]) => !wasTakenOut(oid));
    const other = current?.deleting;
    const isOtherRunning = other !== undefined && !isAbandoned(other, nowMs);
    const isDeleted = (oid: string) => !isOtherRunning && due.has(oid);
    oids = left.map(([oid]) => oid).filter(isDeleted);
    if (other !== undefined && !isOtherRunning) oids = [...new Set([...oids, ...other.oids])];
    const at = new Date(nowMs).toISOString();
    const deleting = isOtherRunning ? other : oids.length > 0 ? { at, oids } : undefined;
    return {
      ranAt: at,
      unused: Object.fromEntries(left.filter(([oid]) => !isDeleted(oid))),
      ...(deleting && { deleting }),
      ...(current?.forgotten && { forgotten: current.forgotten }),
    };
  });
  return oids;
}

/** @returns How many. @throws {StoppedError} What is left is deleted by the next sweep, which is due at once. */
async function deleteFiles(
  oids: readonly string[],
  unused: ReadonlyMap<string, string>,
  nowMs: number,
  { store, signal, now = Date.now }: SweepOptions,
): Promise<number> {
  if (oids.length === 0) return 0;
  let done = 0;
  // Before another one may take over.
  while (done < oids.length && !signal.aborted && now() - nowMs < TAKE_OVER_MS / 2) {
    const some = oids.slice(done, done + DELETES_AT_ONCE);
    await Promise.all(
      some.map(async (oid) => {
        await store.delete(lfsFileKey(oid));
        await store.removeEarlierVersions?.(lfsFileKey(oid));
      }),
    );
    done += some.length;
  }
  const left = oids.slice(done);
  const at = new Date(nowMs).toISOString();
  await sweepNotes(store).change((current) => {
    if (current?.deleting?.at !== at) return current;
    const { deleting: _ended, ...others } = current;
    if (left.length === 0) return others;
    const leftUnused = Object.fromEntries(left.map((oid) => [oid, unused.get(oid) ?? at]));
    return { ...others, ranAt: NEVER, unused: { ...others.unused, ...leftUnused } };
  });
  if (signal.aborted && left.length > 0 && done > 0)
    throw new UnfinishedError("stopped before all unused LFS files were deleted", { cause: signal.reason });
  assertNotStopped(signal);
  return done;
}

async function removeOldParts(nowMs: number, { store }: SweepOptions): Promise<void> {
  for await (const { key, modifiedAtMs } of store.list(LFS_PART_FOLDER))
    if (nowMs - modifiedAtMs > PARTS_KEPT_MS) await store.delete(key);
}

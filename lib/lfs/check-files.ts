/** Compares what a repository's tables say of LFS files with what is in the store. */
import { createHash } from "node:crypto";
import { NotFoundError } from "../errors.ts";
import { lfsFileKey, type RepositoryUuid } from "../repo/layout.ts";
import { LFS_STATE, type LfsRecord } from "../repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../repo/stored-lfs-rights.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { isStored } from "./bring-file.ts";

export interface CheckFilesOptions {
  readonly store: BlobStore;
  /** Whether to read and hash every file, but those whose oid is in `checked`. */
  readonly deep: boolean;
  /** Grows by what was read. */
  readonly checked: Set<string>;
}

/** Requests, or files that are read, at a time. */
const CHECKS_AT_ONCE = 16;
const READS_AT_ONCE = 2;

/** @returns How many files are stored, and what is wrong with which. @throws {CorruptPackError} A table is damaged. */
export async function checkLfsFiles(
  uuid: RepositoryUuid,
  { store, deep, checked }: CheckFilesOptions,
): Promise<{ readonly fileCount: number; readonly problems: readonly string[] }> {
  const stored: LfsRecord[] = [];
  let fileCount = 0;
  await (await new StoredLfsRights(store, uuid).read()).each((record) => {
    if (record.state !== LFS_STATE.stored) return;
    fileCount += 1;
    if (!checked.has(record.oid)) stored.push(record);
  });
  const problems: string[] = [];
  const atOnce = deep ? READS_AT_ONCE : CHECKS_AT_ONCE;
  for (let at = 0; at < stored.length; at += atOnce) {
    const some = stored.slice(at, at + atOnce);
    const found = await Promise.all(some.map((record) => problemOf(store, record, deep)));
    problems.push(...found.filter((problem) => problem !== undefined));
    for (const { oid } of some) checked.add(oid);
  }
  return { fileCount, problems };
}

async function problemOf(
  store: BlobStore,
  { oid, sizeBytes }: LfsRecord,
  deep: boolean,
): Promise<string | undefined> {
  if (!(await isStored(store, oid, sizeBytes)))
    return `LFS file ${oid} is not in the store with its ${sizeBytes} bytes`;
  if (!deep) return undefined;
  const sha256 = createHash("sha256");
  try {
    for await (const chunk of store.streamWhole(lfsFileKey(oid))) sha256.update(chunk);
  } catch (error) {
    if (error instanceof NotFoundError) return `LFS file ${oid} is gone`;
    throw error;
  }
  return sha256.digest("hex") === oid ? undefined : `LFS file ${oid} has other bytes than its oid says`;
}

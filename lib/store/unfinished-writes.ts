/** The files of writes that are not published yet: their names, and the removal of those whose writer has died. */
import { readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { unlessMissing } from "./folder.ts";

/** A living writer's file is older only if nothing was added to it for so long; a process id may be taken again. */
const STALE_AFTER_MS = 24 * 60 * 60 * 1000;

const NAME_PATTERN = /^(\d+)-/;

export function unfinishedName(unique: string): string {
  return `${process.pid}-${unique}`;
}

/**
 * Removes what dead writers left. A writer whose file is wrongly removed fails; nothing is published half.
 * @param staleBeforeMs - Older files are removed even if their writer is alive.
 * @returns How many.
 */
export async function sweepUnfinished(
  folder: string,
  staleBeforeMs = Date.now() - STALE_AFTER_MS,
): Promise<number> {
  let count = 0;
  for (const name of await unlessMissing(readdir(folder), [])) {
    const path = join(folder, name);
    const stats = await unlessMissing(stat(path), undefined);
    const processId = Number(NAME_PATTERN.exec(name)?.[1] ?? 0);
    if (stats === undefined) continue;
    if (!isAlive(processId) || stats.mtimeMs < staleBeforeMs) {
      await unlessMissing(unlink(path), undefined);
      count += 1;
    }
  }
  return count;
}

function isAlive(processId: number): boolean {
  if (processId === 0) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // EPERM: it is alive and another user's.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

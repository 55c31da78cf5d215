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

/** Removes what dead writers left. A writer whose file is wrongly removed fails; nothing is published half. */
export async function sweepUnfinished(folder: string): Promise<void> {
  for (const name of await unlessMissing(readdir(folder), [])) {
    const path = join(folder, name);
    const stats = await unlessMissing(stat(path), undefined);
    const processId = Number(NAME_PATTERN.exec(name)?.[1] ?? 0);
    if (stats === undefined) continue;
    if (!isAlive(processId) || stats.mtimeMs < Date.now() - STALE_AFTER_MS) {
      await unlessMissing(unlink(path), undefined);
    }
  }
}

function isAlive(processId: number): boolean {
  if (processId === 0) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Small things about folders that node:fs leaves to its callers. */
import type { Dirent } from "node:fs";
import { mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

const MISSING = new Set<unknown>(["ENOENT", "ENOTDIR", "EISDIR"]);

/** @returns `otherwise` if the path names no file: missing, below a file, or a folder. */
export async function unlessMissing<Result, Otherwise>(
  action: Promise<Result>,
  otherwise: Otherwise,
): Promise<Result | Otherwise> {
  try {
    return await action;
  } catch (error) {
    if (error instanceof Error && "code" in error && MISSING.has(error.code)) return otherwise;
    throw error;
  }
}

/** Only the mirror's own user may look: callers' rights are the primary's to give. */
const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Parents may be removed by others while a folder below them is made. */
const MAX_TRIES = 3;

/**
 * Not by `mkdir` with `recursive`, which never ends where a folder cannot have others, as in /proc.
 * @returns The topmost folder that was made, if any.
 */
export async function makeFolder(path: string, mode = FOLDER_MODE): Promise<string | undefined> {
  let topMade: string | undefined;
  for (let triesLeft = MAX_TRIES; ; triesLeft--) {
    const failure = await failureOf(mkdir(path, { mode }));
    if (failure === undefined) return topMade ?? path;
    if (failure.code === "EEXIST" && (await isFolder(path))) return topMade;
    const parent = dirname(path);
    if (failure.code !== "ENOENT" || parent === path || triesLeft === 0) throw failure;
    topMade = (await makeFolder(parent, mode)) ?? topMade;
  }
}

async function failureOf(action: Promise<unknown>): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await action;
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await unlessMissing(stat(path), undefined))?.isDirectory() ?? false;
}

/** Flushes what a folder lists, if it is still there. Systems that can't open folders flush them by themselves. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const folder = await unlessMissing(open(path, "r"), undefined);
  if (folder === undefined) return;
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * @returns The paths below `root`, with `/`, of the plain files whose path starts with `prefix`, in the order of their UTF-8 bytes.
 *   What comes or goes meanwhile may be missed.
 */
export async function* listFiles(root: string, prefix: string): AsyncGenerator<string> {
  yield* listFolder(root, prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix);
}

async function* listFolder(root: string, folder: string, prefix: string): AsyncGenerator<string> {
  const entries = await unlessMissing(readdir(join(root, folder), { withFileTypes: true }), []);
  const paths = entries.filter((entry) => entry.isFile() || entry.isDirectory()).map(pathToSortBy);
  for (const name of paths.sort(compareUtf8)) {
    const path = folder + name;
    if (path.endsWith("/")) {
      if (path.startsWith(prefix) || prefix.startsWith(path)) yield* listFolder(root, path, prefix);
    } else if (path.startsWith(prefix)) {
      yield path;
    }
  }
}

/** A folder sorts as its files do, by what follows its name: `a/b` comes after `a.b`. */
function pathToSortBy(entry: Dirent): string {
  return entry.isDirectory() ? `${entry.name}/` : entry.name;
}

function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

/**
 * The repository that is measured: a copy that holds what the refs reach in one pack, with bitmaps and commit graph; and
 * the same without bitmaps.
 */
import { existsSync } from "node:fs";
import { link, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ObjectId } from "../../lib/git/object-id.ts";
import type { Head, Ref } from "../../lib/git/ports.ts";
import { formatRefSnapshot } from "../../lib/repo/refs.ts";
import { readHead, readRefs } from "../support/git/mirror-builder.ts";
import { GIT_SAFETY_ENVIRONMENT, type Workspace } from "./workspace.ts";

/** What both servers call it. */
export const BENCH_WORKSPACE = "bench";
export const BENCH_SLUG = "repository";

export interface BenchRepository {
  /** Says all that it was made of: two repositories with one recipe hold the same. */
  readonly recipe: string;
  /** The folder under which the repository is `bench/repository.git`. */
  readonly root: string;
  /** The same without bitmaps. */
  readonly rootWithoutBitmaps: string;
  readonly folder: string;
  readonly folderWithoutBitmaps: string;
  readonly packFile: string;
  readonly indexFile: string;
  readonly head: Head;
  readonly refs: readonly Ref[];
  /** What the refs point to, each once. */
  readonly tips: readonly ObjectId[];
  readonly objects: number;
  readonly packBytes: number;
}

/** What a copy is made of. */
export interface RepositoryParts {
  /** Absolute. */
  readonly objectsFolder: string;
  readonly head: Head;
  readonly refs: readonly Ref[];
}

/** @throws {Error} It is not there, or has no refs. */
export async function readOriginal(workspace: Workspace, original: string): Promise<RepositoryParts> {
  const cwd = resolve(original);
  if (!existsSync(cwd)) throw new Error(`no such folder: ${original}`);
  const gitFolder = await workspace.git(["rev-parse", "--absolute-git-dir"], { cwd });
  const objectsFolder = await workspace.git(["rev-parse", "--git-path", "objects"], { cwd });
  const refs = await readRefs(cwd, GIT_SAFETY_ENVIRONMENT);
  if (refs.length === 0) throw new Error(`${original} has no refs`);
  return { objectsFolder: resolve(cwd, objectsFolder), head: await readHead(gitFolder), refs };
}

/**
 * Nothing of this is measured, and the original is only read.
 * @throws {Error} Objects are missing.
 */
export async function prepareRepository(
  workspace: Workspace,
  name: string,
  parts: RepositoryParts,
): Promise<BenchRepository> {
  const { head, refs } = parts;
  const recipe = JSON.stringify({ format: REPOSITORY_FORMAT, head, refs });
  const folders = await workspace.prepared(name, recipe, async (made) => {
    workspace.progress(`packing a copy of the repository: ${name}`);
    await pack(workspace, parts, folderBelow(join(made, WITH_BITMAPS)));
    await linkWithoutBitmaps(made);
  });
  const root = join(folders, WITH_BITMAPS);
  const rootWithoutBitmaps = join(folders, WITHOUT_BITMAPS);
  const folder = folderBelow(root);
  const packFile = await onlyFile(folder, ".pack");
  const { size: packBytes } = await stat(packFile);
  const counted = await workspace.git(["count-objects", "-v"], { cwd: folder });
  return {
    recipe,
    root,
    rootWithoutBitmaps,
    folder,
    folderWithoutBitmaps: folderBelow(rootWithoutBitmaps),
    packFile,
    indexFile: await onlyFile(folder, ".idx"),
    head,
    refs,
    tips: [...new Set(refs.map(({ id }) => id))],
    objects: Number(/^in-pack: (\d+)$/m.exec(counted)?.[1]),
    packBytes,
  };
}

/** To be counted up when the code below makes something else of the same parts. */
const REPOSITORY_FORMAT = 1;
const WITH_BITMAPS = "with-bitmaps";
const WITHOUT_BITMAPS = "without-bitmaps";

function folderBelow(root: string): string {
  return join(root, BENCH_WORKSPACE, `${BENCH_SLUG}.git`);
}

/** @throws {Error} The repository has none, or several. */
export async function onlyFile(repository: string, ending: string): Promise<string> {
  const folder = join(repository, "objects/pack");
  const files = (await readdir(folder)).filter((file) => file.endsWith(ending));
  const [name] = files;
  if (name === undefined || files.length > 1)
    throw new Error(`expected one ${ending} file in ${folder}, found ${files.length}`);
  return join(folder, name);
}

async function pack(workspace: Workspace, parts: RepositoryParts, folder: string): Promise<void> {
  await makeBorrowing(workspace, folder, parts);
  const args = ["pack-objects", "--quiet", "--revs", "--all", "--keep-true-parents", "--delta-base-offset"];
  const prefix = join(folder, "objects/pack/pack");
  await workspace.git([...args, "--write-bitmap-index", prefix], { cwd: folder });
  await rm(join(folder, "objects/info/alternates"));
  await workspace.git(["commit-graph", "write", "--reachable", "--no-progress"], { cwd: folder });
  await onlyFile(folder, ".bitmap");
}

/** Makes `folder` a repository with these refs, which borrows the objects. */
async function makeBorrowing(
  workspace: Workspace,
  folder: string,
  { objectsFolder, head, refs }: RepositoryParts,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await workspace.git(["init", "--quiet", "--bare", folder]);
  await writeFile(join(folder, "objects/info/alternates"), `${objectsFolder}\n`);
  await writeFile(join(folder, "HEAD"), "ref" in head ? `ref: ${head.ref}\n` : `${head.id}\n`);
  await writeFile(join(folder, "packed-refs"), formatRefSnapshot(refs).bytes);
}

async function linkWithoutBitmaps(folders: string): Promise<void> {
  const [from, to] = [WITH_BITMAPS, WITHOUT_BITMAPS].map((name) => folderBelow(join(folders, name)));
  if (from === undefined || to === undefined) throw new Error("no folders");
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    const target = join(to, entry.parentPath.slice(from.length), entry.name);
    if (entry.isDirectory()) await mkdir(target, { recursive: true });
    else if (!entry.name.endsWith(".bitmap")) await link(join(entry.parentPath, entry.name), target);
  }
}

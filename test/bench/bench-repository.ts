/** The repository that is measured: a copy that holds what the refs reach in one pack, with bitmaps and commit graph. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ObjectId } from "../../lib/git/object-id.ts";
import type { Head, Ref } from "../../lib/git/ports.ts";
import { readHead, readRefs } from "../support/git/mirror-builder.ts";
import type { Workspace } from "./workspace.ts";

/** What both servers call it. */
export const BENCH_WORKSPACE = "bench";
export const BENCH_SLUG = "repository";

export interface BenchRepository {
  /** The folder under which the repository is `bench/repository.git`. */
  readonly root: string;
  readonly folder: string;
  readonly packFile: string;
  readonly indexFile: string;
  readonly head: Head;
  readonly refs: readonly Ref[];
  /** What the refs point to, each once. */
  readonly tips: readonly ObjectId[];
  readonly objects: number;
  readonly packBytes: number;
}

/**
 * Nothing of this is measured, and the original is only read.
 * @throws {Error} git cannot read it, it has no refs, or objects are missing.
 */
export async function prepareRepository(workspace: Workspace, original: string): Promise<BenchRepository> {
  workspace.progress("packing a copy of the repository");
  const root = workspace.path("served");
  const folder = join(root, BENCH_WORKSPACE, `${BENCH_SLUG}.git`);
  await copyRefs(workspace, original, folder);
  const packFolder = join(folder, "objects/pack");
  const packing = [
    "pack-objects",
    "--quiet",
    "--revs",
    "--all",
    "--keep-true-parents",
    "--delta-base-offset",
  ];
  await workspace.git([...packing, "--write-bitmap-index", join(packFolder, "pack")], { cwd: folder });
  await rm(join(folder, "objects/info/alternates"));
  await workspace.git(["commit-graph", "write", "--reachable", "--no-progress"], { cwd: folder });
  const files = await readdir(packFolder);
  const fileOf = (kind: string): string => {
    const name = files.find((file) => file.endsWith(kind));
    if (name === undefined) throw new Error(`git wrote no ${kind} file for ${original}`);
    return join(packFolder, name);
  };
  fileOf(".bitmap");
  const packFile = fileOf(".pack");
  const [head, refs, { size: packBytes }] = await Promise.all([
    readHead(folder),
    readRefs(folder),
    stat(packFile),
  ]);
  const counted = await workspace.git(["count-objects", "-v"], { cwd: folder });
  return {
    root,
    folder,
    packFile,
    indexFile: fileOf(".idx"),
    head,
    refs,
    tips: [...new Set(refs.map(({ id }) => id))],
    objects: Number(/^in-pack: (\d+)$/m.exec(counted)?.[1]),
    packBytes,
  };
}

/** Makes `folder` a repository with the original's refs, which borrows its objects. */
async function copyRefs(workspace: Workspace, original: string, folder: string): Promise<void> {
  const cwd = resolve(original);
  if (!existsSync(cwd)) throw new Error(`no such folder: ${original}`);
  const gitFolder = await workspace.git(["rev-parse", "--absolute-git-dir"], { cwd });
  const objectsFolder = await workspace.git(["rev-parse", "--git-path", "objects"], { cwd });
  const refs = await workspace.git(["for-each-ref", "--format=%(objectname) %(refname)"], { cwd });
  if (refs === "") throw new Error(`${original} has no refs`);
  await mkdir(folder, { recursive: true });
  await workspace.git(["init", "--quiet", "--bare", folder]);
  await writeFile(join(folder, "objects/info/alternates"), `${resolve(cwd, objectsFolder)}\n`);
  await copyFile(join(gitFolder, "HEAD"), join(folder, "HEAD"));
  await writeFile(join(folder, "packed-refs"), `${refs}\n`);
  await workspace.git(["pack-refs", "--all"], { cwd: folder });
}

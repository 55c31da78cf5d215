/** A repository with files of git-lfs: at its source as pointers, in a mirror's folder store with the files and the rights to them. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { LFS_STATE, type LfsRecord } from "../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../lib/repo/stored-lfs-rights.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { MirrorBuilder, OFS_ALL } from "../support/git/mirror-builder.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import type { Workspace } from "./workspace.ts";

export interface FileGroup {
  readonly count: number;
  readonly sizeBytes: number;
}

export interface LfsFiles {
  /** Bare, with a branch `main`. */
  readonly repository: string;
  /** The folder store. */
  readonly storeFolder: string;
  readonly files: readonly { readonly oid: string; readonly sizeBytes: number }[];
  readonly totalBytes: number;
}

const CHUNK_BYTES = 8 * 1024 * 1024;

export async function makeLfsFiles(workspace: Workspace, groups: readonly FileGroup[]): Promise<LfsFiles> {
  const folder = await workspace.newFolder("lfs");
  const storeFolder = join(folder, "store");
  const files: { oid: string; sizeBytes: number }[] = [];
  for (const { count, sizeBytes } of groups)
    for (let i = 0; i < count; i++)
      files.push({ oid: await writeFile(folder, storeFolder, sizeBytes), sizeBytes });
  const repository = join(folder, "repository.git");
  await workspace.git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const entries = files.map(({ oid, sizeBytes }, i) => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${sizeBytes}\n`;
    return `M 100644 inline ${i}.bin\ndata ${pointer.length}\n${pointer}`;
  });
  const commit =
    "commit refs/heads/main\ncommitter Bench <bench@example.com> 1800000000 +0000\ndata 5\nfiles\n";
  await workspace.git(["fast-import", "--quiet"], { cwd: repository, input: commit + entries.join("\n") });
  await mirrorLfs(new FsBlobStore(storeFolder), repository, join(folder, "scratch"), files);
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { repository, storeFolder, files, totalBytes };
}

/** Publishes the repository, with all of its files as confirmed. */
export async function mirrorLfs(
  store: BlobStore,
  repository: string,
  scratch: string,
  files: LfsFiles["files"],
): Promise<void> {
  const builder = await MirrorBuilder.open(store, repository, scratch);
  await builder.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await builder.publish(BENCH_WORKSPACE, BENCH_SLUG);
  const records = files.map(
    (file): LfsRecord => ({
      ...file,
      state: LFS_STATE.stored,
      tries: 0,
      seconds: Math.floor(Date.now() / 1000),
    }),
  );
  await new StoredLfsRights(store, builder.uuid).add(records);
}

/** Of random bytes. @returns Its oid. */
async function writeFile(folder: string, storeFolder: string, sizeBytes: number): Promise<string> {
  const incoming = join(folder, "incoming");
  const sha256 = createHash("sha256");
  const file = await open(incoming, "w");
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    const chunk = randomBytes(Math.min(CHUNK_BYTES, sizeBytes - at));
    sha256.update(chunk);
    await file.write(chunk);
  }
  await file.close();
  const oid = sha256.digest("hex");
  const path = join(storeFolder, lfsFileKey(oid));
  await mkdir(dirname(path), { recursive: true });
  await rename(incoming, path);
  return oid;
}

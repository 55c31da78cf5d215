/** Clones with git-lfs, in a set-up of their own; and what of git-lfs reached the primary. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { git, tryGit } from "../git/run-git.ts";
import type { Primary } from "../primary.ts";

export interface LfsCloneOptions {
  readonly path: string;
  readonly address: string;
  /** For git's command line, before each command. */
  readonly credentials: readonly string[];
  /** Of `git clone`. */
  readonly options?: readonly string[];
}

/** Clones with pointers in place of files. */
export async function lfsClone({ path, address, credentials, options = [] }: LfsCloneOptions) {
  const env = { GIT_LFS_SKIP_SMUDGE: "1" };
  await git([...credentials, "clone", "--quiet", ...options, address, path], { env });
  const run = (...args: string[]) => git([...credentials, ...args], { cwd: path, env });
  const attempt = (...args: string[]) => tryGit([...credentials, ...args], { cwd: path, env });
  await run("lfs", "install", "--local");
  return {
    path,
    run,
    attempt,
    lfs: (...args: string[]) => run("lfs", ...args),
    read: (file: string) => readFile(join(path, file)),
    async commit(files: Record<string, Uint8Array>) {
      for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
      await run("add", "--all");
      await run("commit", "--quiet", "--message=Files");
    },
    /** Forgets what it has downloaded. */
    async forget() {
      await rm(join(path, ".git/lfs/objects"), { recursive: true, force: true });
    },
    async objects() {
      const files = await readdir(join(path, ".git/lfs/objects"), { recursive: true }).catch(() => []);
      return files.flatMap((file) => /[0-9a-f]{64}$/.exec(file)?.[0] ?? []).toSorted();
    },
  };
}

/** Batches and transfers of clients, not of the mirror's own copier, that reached the primary and its storage. */
export function lfsClientsAt({ fake }: Primary) {
  const { batches, transfers } = fake.lfs;
  return {
    batches: batches.map(({ operation }) => operation),
    transfers: transfers.filter(({ headers }) => String(headers["user-agent"]).startsWith("git-lfs")).length,
  };
}

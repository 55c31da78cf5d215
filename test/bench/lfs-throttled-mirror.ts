/**
 * The mirror of row `lfs-pull-throttled`: as `npm start` runs it, with all files copied, over a Bitbucket that sends files at 1 MB/s
 * by now.
 */
import { cp, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LFS_FILE_FOLDER } from "../../lib/repo/layout.ts";
import { startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { BENCH_SLUG, BENCH_WORKSPACE } from "./bench-repository.ts";
import type { LfsFiles } from "./lfs-files.ts";
import { startLocalMirror } from "./local-mirror.ts";
import type { Workspace } from "./workspace.ts";

const BYTES_PER_SECOND = 1_000_000;
/** Until all is copied; a pull takes seconds, and the copy as long as some of them. */
const MAX_FIRST_PULLS = 30;

export interface ThrottledMirror {
  readonly url: string;
  /** @throws {Error} The primary has sent files since the first pulls. */
  assertAllFromStore(): void;
  close(): Promise<void>;
}

/** @param pull - Pulls all files from a mirror. */
export async function startThrottledMirror(
  workspace: Workspace,
  { repository, storeFolder }: LfsFiles,
  pull: (url: string) => Promise<unknown>,
): Promise<ThrottledMirror> {
  const folder = await workspace.newFolder("throttled");
  const root = join(folder, "primary");
  const name = `${BENCH_WORKSPACE}/${BENCH_SLUG}`;
  const primary = join(root, `${name}.git`);
  await mkdir(dirname(primary), { recursive: true });
  await cp(repository, primary, { recursive: true });
  await cp(join(storeFolder, LFS_FILE_FOLDER), join(primary, "lfs/objects"), { recursive: true });
  const fake = await startFakeBitbucket({ repositoriesFolder: root });
  const url = await startLocalMirror(workspace, fake, join(folder, "store"), name);
  let sent = -1;
  for (let pulls = 0; sent !== fake.lfs.transfers.length; pulls++) {
    if (pulls === MAX_FIRST_PULLS) throw new Error("the mirror does not copy all files");
    sent = fake.lfs.transfers.length;
    await pull(url);
  }
  fake.lfs.misbehave({ bytesPerSecond: BYTES_PER_SECOND });
  return {
    url,
    assertAllFromStore() {
      const more = fake.lfs.transfers.length - sent;
      if (more > 0) throw new Error(`the primary has sent ${more} files that the mirror has copied`);
    },
    close: () => fake.close(),
  };
}

/** A bare repository of so many bytes that hardly compress: a main line, branches that are merged and such that are not, tags. */
import { noiseBytes } from "../pack-builder.ts";
import { git } from "./run-git.ts";

export interface LargeRepositoryOptions {
  readonly commitCount: number;
  /** Of the one file that each commit adds or replaces. */
  readonly fileBytes: number;
}

/** Every so many commits. */
const BRANCH_EVERY = 20;
const MERGE_AFTER = 10;
const TAG_EVERY = 25;

export async function makeLargeRepository(
  repository: string,
  { commitCount, fileBytes }: LargeRepositoryOptions,
): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const pieces: (string | Uint8Array)[] = ["feature done\n"];
  const addCommit = (ref: string, number: number, from: string, merged?: string): void => {
    pieces.push(
      `commit ${ref}\nmark :${number + 1}\ncommitter A <a@example.com> ${1_700_000_000 + number * 60} +0000\n`,
      `data 7\nchange\n${from}`,
      merged === undefined ? "" : `merge ${merged}\n`,
      `M 100644 inline folder-${number % 7}/file-${number % 50}\ndata ${fileBytes}\n`,
      noiseBytes(fileBytes, number + 1),
      "\n",
    );
  };
  for (let number = 0; number < commitCount; number++) {
    const parent = number === 0 ? "" : `from :${mainMarkBefore(number)}\n`;
    const side = number % BRANCH_EVERY === MERGE_AFTER - 1;
    // Every other branch is merged, 11 commits after its own.
    const isMerge = number > 0 && number % (2 * BRANCH_EVERY) === 0;
    const merged = isMerge ? `:${number - MERGE_AFTER}` : undefined;
    const branch = `refs/heads/side-${Math.floor(number / BRANCH_EVERY)}`;
    addCommit(side ? branch : "refs/heads/main", number, parent, merged);
    if (number % TAG_EVERY !== 0) continue;
    pieces.push(
      `tag v${number}\nfrom :${number + 1}\ntagger A <a@example.com> ${1_700_000_000 + number * 60} +0000\n`,
      "data 2\nv\n\n",
    );
  }
  pieces.push("done\n");
  await git(["-c", "core.compression=0", "fast-import", "--quiet", "--done"], {
    cwd: repository,
    input: Buffer.concat(pieces.map((piece) => Buffer.from(piece))),
  });
}

/** The commit before it on the main line: those of side branches are left out. */
function mainMarkBefore(number: number): number {
  return (number - 1) % BRANCH_EVERY === MERGE_AFTER - 1 ? number - 1 : number;
}

/** The repositories that the load is about. */
import { join } from "node:path";
import { makeLargeRepository } from "../support/git/large-repository.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";

/** Commits of `acme/history`, each with six new objects. */
const HISTORY_COMMITS = 20_000;
const BULK = { commitCount: 400, fileBytes: 100_000 };
const SPARSE_PATTERNS = 990;
const SPARSE_PATTERN_BYTES = 1_000;
const DEEP_LEVELS = 14;
const LONGEST_NAME_BYTES = 255;

export interface LoadIds {
  /** Of `acme/history`'s branch `main`, newest first. */
  readonly historyCommits: readonly string[];
  /** The tip and the patterns' blob in `acme/deep`. */
  readonly deepTip: string;
  readonly sparsePatterns: string;
  readonly bulkTips: readonly string[];
  readonly sampleTip: string;
}

/**
 * `history`: many commits. `bulk`: 40 MB that hardly compress. `deep`: a path of the longest names, and patterns that are slow to match.
 * `sample`: an ordinary repository, of which honest callers ask.
 */
export async function makeLoadRepositories(folder: string): Promise<LoadIds> {
  const path = (slug: string): string => join(folder, "acme", `${slug}.git`);
  await makeSampleRepository(path("sample"), { commitCount: 200 });
  await makeHistory(path("history"));
  await makeLargeRepository(path("bulk"), BULK);
  await makeDeep(path("deep"));
  const rev = (slug: string, name: string) => git(["rev-parse", name], { cwd: path(slug) });
  const bulkRefs = await git(["for-each-ref", "--format=%(objectname)"], { cwd: path("bulk") });
  return {
    historyCommits: (await git(["rev-list", "main"], { cwd: path("history") })).split("\n"),
    deepTip: await rev("deep", "main"),
    sparsePatterns: await rev("deep", "main:patterns"),
    bulkTips: bulkRefs.split("\n"),
    sampleTip: await rev("sample", "main"),
  };
}

async function makeHistory(repository: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const pieces: string[] = ["feature done\n"];
  const addCommit = (ref: string, number: number, from: string): void => {
    const path = `${number % 11}/${number % 13}/${number % 17}/file-${number % 19}`;
    const text = `change ${number}\n`;
    pieces.push(
      `commit ${ref}\nmark :${number + 1}\ncommitter A <a@example.com> ${1_600_000_000 + number * 60} +0000\n`,
      `data 7\nchange\n${from}M 100644 inline ${path}\ndata ${text.length}\n${text}\n`,
    );
  };
  for (let number = 0; number < HISTORY_COMMITS; number++) addCommit("refs/heads/main", number, "");
  // A second branch, so that a fetch of one is no copy of whole packs.
  addCommit("refs/heads/side", HISTORY_COMMITS, `from :${HISTORY_COMMITS / 2}\n`);
  pieces.push("done\n");
  await git(["fast-import", "--quiet", "--done"], { cwd: repository, input: pieces.join("") });
}

async function makeDeep(repository: string): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", repository]);
  const path = Array.from({ length: DEEP_LEVELS }, () => "a".repeat(LONGEST_NAME_BYTES)).join("/");
  const pattern = `${"*a".repeat(SPARSE_PATTERN_BYTES / 2 - 1)}b\n`;
  const patterns = pattern.repeat(SPARSE_PATTERNS);
  const stream = [
    "feature done\ncommit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 5\ndeep\n",
    `M 100644 inline patterns\ndata ${patterns.length}\n${patterns}`,
    ...Array.from({ length: 50 }, (_, number) => `M 100644 inline ${path}/${number}\ndata 2\nx\n`),
    "done\n",
  ];
  await git(["fast-import", "--quiet", "--done"], { cwd: repository, input: stream.join("") });
}

/**
 * Makes a bare repository as large as is asked for, by git-fast-import(1), to measure with: the same one for the same numbers.
 * `npm run generate-repository -- <folder> --objects 4000000 --commits 100000`, then `npm run bench -- --repo <folder>`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command, InvalidArgumentError } from "commander";
import { Random } from "../support/differential/random.ts";
import { git } from "../support/git/run-git.ts";

/** 50,000 files, as a large product has them. */
const MODULES = 50;
const FOLDERS = 40;
const FILES = 25;

/** A change is in few places: that is what makes histories compress. */
const MODULES_A_COMMIT = 2;
const FILES_A_FOLDER = 2;
/** A commit, its tree, and those of its modules. */
const OBJECTS_BESIDES = 2 + MODULES_A_COMMIT;
const OBJECTS_A_FOLDER = 1 + FILES_A_FOLDER;

const MERGE_EVERY = 10;
const BRANCH_EVERY = 500;
const TAG_EVERY = 1000;
const FIRST_SECONDS = 1_400_000_000;

interface Sizes {
  readonly objects: number;
  readonly commits: number;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("It is a whole number above 0.");
  return value;
}

function* stream({ objects, commits }: Sizes): Generator<string, void> {
  const random = new Random(1);
  const foldersACommit = Math.max(1, Math.round((objects / commits - OBJECTS_BESIDES) / OBJECTS_A_FOLDER));
  for (let number = 1; number <= commits; number++) {
    const seconds = FIRST_SECONDS + number * 600;
    // Every tenth commit is on a side branch, of some commits before, and the next one merges it.
    const isSide = number % MERGE_EVERY === 0 && number > MERGE_EVERY;
    const isMerge = (number - 1) % MERGE_EVERY === 0 && number > MERGE_EVERY + 1;
    const ref = isSide ? "refs/heads/side" : "refs/heads/main";
    const message = `Change ${number}\n`;
    const parts = [`commit ${ref}\nmark :${number}\ncommitter A <a@example.com> ${seconds} +0000\n`];
    parts.push(`data ${message.length}\n${message}`);
    if (isSide) parts.push(`from :${number - 4}\n`);
    else if (isMerge) parts.push(`from :${number - 2}\nmerge :${number - 1}\n`);
    else if (number > 1) parts.push(`from :${number - 1}\n`);
    for (const path of changedPaths(random, foldersACommit)) {
      const text = content(random, path, number);
      parts.push(`M 100644 inline ${path}\ndata ${text.length}\n${text}\n`);
    }
    parts.push("\n");
    if (number % BRANCH_EVERY === 0) parts.push(`reset refs/heads/topic-${number}\nfrom :${number}\n\n`);
    if (number % TAG_EVERY === 0)
      parts.push(`tag v${number}\nfrom :${number}\ntagger A <a@example.com> ${seconds} +0000\ndata 2\nv\n`);
    yield parts.join("");
  }
  yield "done\n";
}

/** Each once. */
function changedPaths(random: Random, folders: number): Set<string> {
  const modules = Array.from({ length: MODULES_A_COMMIT }, () => random.below(MODULES));
  const paths = new Set<string>();
  for (let i = 0; i < folders; i++) {
    const folder = `module-${modules[i % MODULES_A_COMMIT]}/folder-${random.below(FOLDERS)}`;
    for (let file = 0; file < FILES_A_FOLDER; file++) paths.add(`${folder}/file-${random.below(FILES)}.ts`);
  }
  return paths;
}

/** Text whose versions differ in a few lines. */
function content(random: Random, path: string, version: number): string {
  const lines = Array.from({ length: 4 + random.below(8) }, (_, i) => `// ${path}: line ${i}`);
  lines.push(
    `export const version = ${version};`,
    `export const id = "${random.below(2 ** 31).toString(36)}";`,
  );
  return `${lines.join("\n")}\n`;
}

async function generate(folder: string, sizes: Sizes): Promise<void> {
  await git(["init", "--quiet", "--bare", "--initial-branch=main", folder]);
  const child = spawn("git", ["-C", folder, "fast-import", "--quiet", "--done", "--depth=10"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  const ended = once(child, "close");
  await pipeline(Readable.from(stream(sizes)), child.stdin);
  const [exitCode] = (await ended) as [number | null];
  if (exitCode !== 0) throw new Error(`git fast-import ended with ${exitCode}`);
  console.log(await git(["count-objects", "-v"], { cwd: folder }));
}

const command = new Command("generate-repository")
  .argument("<folder>", "not there yet")
  .option("--objects <number>", "about so many", count, 4_000_000)
  .option("--commits <number>", "so many", count, 100_000)
  .parse();
await generate(command.args[0] ?? "", command.opts<Sizes>());

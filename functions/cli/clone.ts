/** `nearside clone` */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Command } from "commander";
import {
  addCloneOptions,
  byGitBelowOption,
  gitCloneArguments,
  gitSettings,
  partialOption,
} from "./clone/clone-options.ts";
import { say } from "./clone/download-progress.ts";
import { downloadPlan, type FoundPlan, findPlan, mirrorUrlOf, withCredential } from "./clone/find-plan.ts";
import { PartialFolder, partialPath } from "./clone/partial-folder.ts";
import { installPacks, planBytes } from "./clone/prepared-objects.ts";
import { exitCodeOfSignal, type GitRun, gitOutput, runGit } from "./clone/run-git.ts";
import { GitFailed } from "./explain.ts";

const EXPLANATION = `
Takes packs and their indexes from the mirror as they are stored, where git clone would receive and index a pack: a large repository
is cloned in a fraction of the time. git does the rest: what is newer, refs, checkout, submodules, LFS. Credentials, proxy and
certificates are those of git's configuration. Packs and indexes are checked by their checksums; only --verify proves
that every object fits its id.
The new repository is one of git's own. origin is the mirror; pushes go to Bitbucket.
Partial and shallow clones, and repositories at other servers, are cloned by git clone alone.

Examples:
  nearside clone https://mirror.example.com/acme/website.git
  nearside clone --bare --verify https://mirror.example.com/acme/website.git \\
    /srv/website.git

Exit codes: 0 done; 1 failed, or those of git clone; 2 wrong arguments.`;

export function configure(command: Command): void {
  addCloneOptions(command)
    .argument("<url>", "as for git clone")
    .argument("[folder]", "the repository's name unless given")
    .option("--verify", "hash every object, as git does")
    .addOption(byGitBelowOption("smaller repositories are cloned by git, which is as fast"))
    .addHelpText("after", EXPLANATION)
    .action(clone);
}

/** With them `git clone` makes a repository whose parts are in several places. */
const SPLITTING_VARIABLES = ["GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"];

interface CloneOptions {
  readonly bare?: true;
  readonly mirror?: true;
  readonly quiet?: true;
  readonly progress?: true;
  readonly verify?: true;
  readonly checkout?: boolean;
  readonly byGitBelow: number;
}

interface Asked {
  readonly url: string;
  readonly target: string;
  readonly git: GitRun;
  /** Of `git clone`, without the address. */
  readonly args: readonly string[];
  readonly options: CloneOptions;
}

async function clone(
  url: string,
  folder: string | undefined,
  options: CloneOptions,
  command: Command,
): Promise<void> {
  const git = { options: gitSettings(command) };
  // git refuses an empty name.
  const target = folder === "" ? "" : resolve(folder ?? folderOf(url, options));
  const asked: Asked = { url, target, git, args: gitCloneArguments(command), options };
  if (target !== "" && (await completeInterrupted(asked))) return;
  const partial = partialOption(command);
  const isSplit = SPLITTING_VARIABLES.some((name) => process.env[name] !== undefined);
  const isFree = target !== "" && (await isFreeFolder(target));
  const found = partial === undefined && !isSplit && isFree ? await findPlan(git, url, options) : undefined;
  const exitCode = found === undefined ? await cloneByGit(asked, git) : await cloneByPlan(asked, found);
  if (exitCode !== 0) throw new GitFailed(exitCode);
}

/**
 * What a run has left that was killed after `git clone` and before the packs were in the clone.
 * @returns Whether there is a whole repository now.
 */
async function completeInterrupted(asked: Asked): Promise<boolean> {
  const { url, target, git, options } = asked;
  if ((await isFreeFolder(target)) || !existsSync(partialPath(target))) return false;
  const mirrorUrl = await mirrorUrlOf(git, url);
  const left = await PartialFolder.find(target, mirrorUrl);
  const here = { ...git, options: [...git.options, "--git-dir", gitFolderOf(asked)] };
  const head = await gitOutput(here, ["rev-parse", "--verify", "--quiet", "HEAD"]);
  if (left?.state.checksums === undefined || head.exitCode !== 0) {
    say(options, `an interrupted clone is in ${target}: delete it, and the same command continues`);
    return false;
  }
  const { checksums, primaryUrl } = left.state;
  await installPacks(left.path, new Map(Object.entries(checksums)), join(gitFolderOf(asked), "objects/pack"));
  const isCheckedOut = options.checkout === false || gitFolderOf(asked) === target;
  if (!isCheckedOut && !existsSync(join(gitFolderOf(asked), "index"))) {
    // It overwrites nothing.
    const exitCode = await runGit({ options: [...git.options, "-C", target] }, [
      "reset",
      "--quiet",
      "--hard",
    ]);
    if (exitCode !== 0) throw new GitFailed(exitCode);
  }
  await pushToPrimary(asked, primaryUrl, mirrorUrl);
  await left.remove();
  say(options, `the interrupted clone in ${target} is complete now`);
  return true;
}

async function isFreeFolder(path: string): Promise<boolean> {
  return !existsSync(path) || (await readdir(path).catch(() => ["a file"])).length === 0;
}

async function cloneByPlan(asked: Asked, found: FoundPlan): Promise<number> {
  const { target, git, options } = asked;
  const prepared =
    planBytes(found.plan) < options.byGitBelow ? undefined : await downloadPlan(target, found, git, options);
  if (prepared === undefined) {
    const exitCode = await cloneByGit(asked, await withCredential(git, found));
    if (!(await isFreeFolder(target))) await pushToPrimary(asked, found.plan.primaryUrl, found.mirrorUrl);
    if (exitCode === 0) await (await PartialFolder.find(target, found.mirrorUrl))?.remove();
    return exitCode;
  }
  await using _removed = prepared;
  const env = { GIT_ALTERNATE_OBJECT_DIRECTORIES: prepared.alternates };
  const withPacks = { ...git, env };
  const withAll = await withCredential(withPacks, found);
  if (prepared.endedBy !== undefined) return exitCodeOfSignal(prepared.endedBy);
  const exitCode = await cloneByGit(asked, withAll);
  // After a checkout that failed or was interrupted git leaves the repository, to be repaired.
  if (await isFreeFolder(target)) return exitCode;
  try {
    await prepared.moveInto(join(gitFolderOf(asked), "objects/pack"));
  } catch (error) {
    // It lacks its objects.
    await rm(target, { recursive: true, force: true });
    throw error;
  }
  await pushToPrimary(asked, found.plan.primaryUrl, found.mirrorUrl);
  return exitCode;
}

function cloneByGit({ url, target, args }: Asked, git: GitRun): Promise<number> {
  return runGit({ ...git, options: [] }, ["clone", ...args, "--", url, target]);
}

/** Unless git's configuration says already where pushes go. */
async function pushToPrimary(asked: Asked, primaryUrl: string | undefined, mirrorUrl: string): Promise<void> {
  if (primaryUrl === undefined) return;
  const { git } = asked;
  const remote = ["--git-dir", gitFolderOf(asked), "remote"];
  const listed = (await gitOutput(git, [...remote, "--verbose"])).stdout;
  const [, origin, pushUrl] = /^(.*)\t(.*) \(push\)$/m.exec(listed) ?? [];
  if (origin === undefined || pushUrl !== mirrorUrl) return;
  await gitOutput(git, [...remote, "set-url", "--push", "--", origin, primaryUrl]);
  say(asked.options, `pushes go to ${primaryUrl}`);
}

function gitFolderOf({ target, options: { bare, mirror } }: Asked): string {
  return bare || mirror ? target : join(target, ".git");
}

/** As `git clone` names the folder. */
function folderOf(url: string, { bare, mirror }: CloneOptions): string {
  const path = url
    .replace(/[?#].*$/, "")
    .replace(/\/+$/, "")
    .replace(/\/\.git$/, "");
  const name = basename(path.replaceAll(":", "/")).replace(/\.(git|bundle)$/, "");
  return bare || mirror ? `${name}.git` : name;
}

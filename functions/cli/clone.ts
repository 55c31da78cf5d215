/** `nearside clone` */
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { basename, delimiter, join, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UpstreamError } from "../../lib/errors.ts";
import { printableLine } from "../../lib/printable-line.ts";
import { formatBytes } from "../local/progress-line.ts";
import { askPlan, credentialQuestion, type GivenPlan } from "./clone/ask-plan.ts";
import { addCloneOptions, gitCloneArguments, gitSettings, partialOption } from "./clone/clone-options.ts";
import { DownloadProgress } from "./clone/download-progress.ts";
import { HttpClient } from "./clone/http-client.ts";
import { PartialFolder, partialPath } from "./clone/partial-folder.ts";
import { installPacks, PreparedObjects, planBytes } from "./clone/prepared-objects.ts";
import { exitCodeOfSignal, type GitRun, gitOutput, runGit } from "./clone/run-git.ts";
import { GitFailed, messageOf } from "./explain.ts";

const EXPLANATION = `
Takes packs and their indexes from the mirror as they are stored, where git clone would receive and index a pack: a large repository
is cloned in a fraction of the time. git does the rest: what is newer, refs, checkout, submodules, LFS. Credentials, proxy and
certificates are those of git's configuration. Packs and indexes are checked by their checksums; only --verify proves
that every object fits its id.
The new repository is one of git's own. origin is the mirror; pushes go to Bitbucket.
Partial and shallow clones, and repositories at other servers, are cloned by git clone alone.

Examples:
  nearside clone https://mirror.example.com/acme/website.git
  nearside clone --bare --verify https://mirror.example.com/acme/website.git /srv/website.git

Exit codes: 0 done; 1 failed, or those of git clone; 2 wrong arguments.`;

export function configure(command: Command): void {
  addCloneOptions(command)
    .argument("<url>", "as for git clone")
    .argument("[folder]", "the repository's name unless given")
    .option("--verify", "hash every object, as git does")
    .addOption(
      new Option("--by-git-below <bytes>", "smaller repositories are cloned by git, which is as fast")
        .argParser(parseBytes)
        .default(BY_GIT_BELOW_BYTES),
    )
    .addHelpText("after", EXPLANATION)
    .action(clone);
}

/** Of packs and indexes. git indexes as much in less time than the rest of this command takes. */
const BY_GIT_BELOW_BYTES = 4 * 1024 * 1024;

function parseBytes(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It is a number of bytes.");
  return Number(text);
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
  const found = partial === undefined && !isSplit && isFree ? await findPlan(asked) : undefined;
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

interface FoundPlan extends GivenPlan {
  readonly client: HttpClient;
  /** With `url.*.insteadOf` of git's configuration applied. */
  readonly mirrorUrl: string;
  /** Objects are to be looked at as `git fsck` does. */
  readonly isStrict: boolean;
}

/** @returns `undefined` where the repository is to be cloned by git. */
async function findPlan({ url, git, options }: Asked): Promise<FoundPlan | undefined> {
  const [mirrorUrl, strict] = await Promise.all([mirrorUrlOf(git, url), isStrict(git)]);
  if (URL.parse(mirrorUrl) === null) return undefined;
  if (strict && (await hasFsckSettings(git))) return undefined;
  const client = new HttpClient(git, mirrorUrl, process.env);
  try {
    const given = await askPlan(client, git, mirrorUrl);
    const isReachable = given !== undefined && (await client.canReach(given.plan.refs.url));
    return isReachable ? { ...given, client, mirrorUrl, isStrict: strict } : undefined;
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    say(options, `${messageOf(error)}: trying git clone`);
    return undefined;
  }
}

async function mirrorUrlOf(git: GitRun, url: string): Promise<string> {
  return (await gitOutput(git, ["ls-remote", "--get-url", "--", url])).stdout.replace(/\n$/, "");
}

async function cloneByPlan(asked: Asked, found: FoundPlan): Promise<number> {
  const { target, git, options } = asked;
  const prepared = planBytes(found.plan) < options.byGitBelow ? undefined : await prepare(asked, found);
  if (prepared === undefined) {
    const exitCode = await cloneByGit(asked, await withCredential(git, found));
    if (!(await isFreeFolder(target))) await pushToPrimary(asked, found.plan.primaryUrl, found.mirrorUrl);
    if (exitCode === 0) await (await PartialFolder.find(target, found.mirrorUrl))?.remove();
    return exitCode;
  }
  await using _removed = prepared;
  const env = { GIT_ALTERNATE_OBJECT_DIRECTORIES: alternates(prepared.objectFolder) };
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

/** @returns `undefined` if the packs could not be downloaded. @throws {CorruptPackError} They are damaged. */
async function prepare(asked: Asked, found: FoundPlan): Promise<PreparedObjects | undefined> {
  const { target, git, options } = asked;
  const { plan, client, mirrorUrl } = found;
  const progress = new DownloadProgress(options, planBytes(plan));
  try {
    return await PreparedObjects.download(target, plan, {
      ...{ client, git, url: mirrorUrl },
      askAgain: async () => (await askPlan(client, git, mirrorUrl))?.plan,
      onBytes: (bytes) => progress.add(bytes),
      onKept: (bytes, folder) =>
        say(options, `${formatBytes(bytes)} are kept in ${folder}: the same command continues there`),
      deepCheck: found.isStrict ? ["--strict"] : options.verify && [],
    });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    say(options, `${messageOf(error)}: trying git clone`);
    return undefined;
  } finally {
    progress.end();
  }
}

/** As for git's fetches: `fetch.fsckObjects` counts before `transfer.fsckObjects`, and of several values the last one. */
async function isStrict(git: GitRun): Promise<boolean> {
  const found = await Promise.all(
    ["fetch", "transfer"].map((section) =>
      gitOutput(git, ["config", "--type=bool", "--get", `${section}.fsckObjects`]),
    ),
  );
  return found.find(({ exitCode }) => exitCode === 0)?.stdout.trim() === "true";
}

/** Which faults of objects are accepted: git takes ids that it does not know there, and not as options of its `index-pack`. */
async function hasFsckSettings(git: GitRun): Promise<boolean> {
  return (await gitOutput(git, ["config", "--get-regexp", "^fetch\\.fsck\\."])).exitCode === 0;
}

function cloneByGit({ url, target, args }: Asked, git: GitRun): Promise<number> {
  return runGit({ ...git, options: [] }, ["clone", ...args, "--", url, target]);
}

/** A list, whose items git takes in quotation marks where they hold what separates them. */
function alternates(folder: string): string {
  const quoted = `"${folder.replaceAll(/["\\]/g, "\\$&")}"`;
  const { GIT_ALTERNATE_OBJECT_DIRECTORIES: others } = process.env;
  return others ? `${quoted}${delimiter}${others}` : quoted;
}

/** What a person has typed is not asked for again: where no helper of git's has kept it, git gets it from this process. */
async function withCredential(git: GitRun, { mirrorUrl, credential }: FoundPlan): Promise<GitRun> {
  if (credential === undefined) return git;
  const options = [...git.options, "-c", "core.askPass="];
  const asked = {
    options,
    env: { GIT_TERMINAL_PROMPT: "0", GIT_ASKPASS: "", SSH_ASKPASS: "" },
    isSilent: true,
  } as const;
  const { exitCode } = await gitOutput(asked, ["credential", "fill"], credentialQuestion(mirrorUrl));
  if (exitCode === 0) return git;
  const count = Number(process.env["GIT_CONFIG_COUNT"] ?? 0);
  const helper =
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$NEARSIDE_CLONE_USERNAME" "$NEARSIDE_CLONE_PASSWORD"; }; f';
  const env = {
    ...git.env,
    GIT_CONFIG_COUNT: String(count + 1),
    [`GIT_CONFIG_KEY_${count}`]: `credential.${new URL(mirrorUrl).origin}.helper`,
    [`GIT_CONFIG_VALUE_${count}`]: helper,
    NEARSIDE_CLONE_USERNAME: credential.username,
    NEARSIDE_CLONE_PASSWORD: credential.password,
  };
  return { ...git, env };
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

function say({ quiet }: CloneOptions, text: string): void {
  if (!quiet) process.stderr.write(`nearside: ${printableLine(text)}\n`);
}

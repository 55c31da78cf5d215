/** `nearside fetch` */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { ClonePlan } from "../../lib/repo/clone-plan.ts";
import { byGitBelowOption } from "./clone/clone-options.ts";
import { downloadPlan, type FoundPlan, findPlan, withCredential } from "./clone/find-plan.ts";
import { planBytes } from "./clone/prepared-objects.ts";
import { exitCodeOfSignal, type GitRun, gitOutput, runGit } from "./clone/run-git.ts";
import { GitFailed } from "./explain.ts";

const EXPLANATION = `
For a clone that nearside clone has made: downloads the packs that the mirror has got since, with their indexes, and installs them; then
runs git fetch, which finds them there and receives what is newer still. Much that is new comes in a fraction of the time.
git fetch does it alone where there is little new, where the clone has none of the mirror's packs (git gc joins packs), in
shallow and partial clones, for other servers, and with options that say how much history is wanted.

Arguments and options are those of git fetch.

Examples:
  nearside fetch
  nearside fetch --prune origin

Exit codes: 0 done; 1 failed, or those of git fetch; 2 wrong arguments.`;

export function configure(command: Command): void {
  command
    .argument("[arguments...]", "of git fetch: a remote, refs, options")
    .option("--verify", "hash every object, as git does")
    .addOption(byGitBelowOption("less is fetched by git, which is as fast"))
    .allowUnknownOption()
    .addHelpText("after", EXPLANATION)
    .action(fetchAll);
}

interface FetchOptions {
  readonly verify?: true;
  readonly byGitBelow: number;
}

/** What says nothing of which history is wanted, and takes no argument of its own. Any other option is git's alone. */
const HARMLESS_OPTION =
  /^(?:-[afknpPqtuv46]+|--(?:no-)?(?:append|atomic|force|keep|prune|prune-tags|tags|quiet|verbose|progress|auto-gc|auto-maintenance|recurse-submodules|show-forced-updates|update-head-ok|write-commit-graph|write-fetch-head)|--recurse-submodules=.*|--jobs=\d+)$/;

const HERE: GitRun = { options: [], isInRepository: true };

async function fetchAll(args: readonly string[], { verify, byGitBelow }: FetchOptions): Promise<void> {
  const output = outputOptions(args);
  const packs = args.every(isHarmless) ? await findPacks() : undefined;
  const [remote] = args.filter((argument) => !argument.startsWith("-"));
  const found = packs && (await findNewPacks(packs.held, remote, output));
  const isLarge = found !== undefined && planBytes(found.plan) >= byGitBelow;
  const exitCode =
    packs === undefined || found === undefined || !isLarge
      ? await runGit(HERE, ["fetch", ...args])
      : await fetchByPlan(args, packs, found, { ...output, ...(verify && { verify }) });
  if (exitCode !== 0) throw new GitFailed(exitCode);
}

function isHarmless(argument: string): boolean {
  return !argument.startsWith("-") || HARMLESS_OPTION.test(argument);
}

interface OutputOptions {
  readonly quiet?: true;
  readonly progress?: true;
}

function outputOptions(args: readonly string[]): OutputOptions {
  const isQuiet = args.some((argument) => argument === "--quiet" || /^-[a-zA-Z46]*q/.test(argument));
  return { ...(isQuiet && { quiet: true }), ...(args.includes("--progress") && { progress: true }) };
}

interface LocalPacks {
  /** Of the repository, or of the one that a work tree belongs to. */
  readonly gitFolder: string;
  readonly objectFolder: string;
  /** Checksums. */
  readonly held: ReadonlySet<string>;
}

/** @returns `undefined` where git is to fetch alone; outside of a repository it says so. */
async function findPacks(): Promise<LocalPacks | undefined> {
  const args = ["rev-parse", "--is-shallow-repository", "--git-common-dir", "--git-path", "objects"];
  const [found, partial] = await Promise.all([
    gitOutput({ ...HERE, isSilent: true }, args),
    gitOutput({ ...HERE, isSilent: true }, ["config", "--get-regexp", PARTIAL_SETTINGS]),
  ]);
  const [isShallow, gitFolder = "", objectFolder = "", ...others] = found.stdout.trimEnd().split("\n");
  if (found.exitCode !== 0 || isShallow !== "false" || others.length > 0 || partial.exitCode === 0)
    return undefined;
  const names = await readdir(join(objectFolder, "pack")).catch((): string[] => []);
  const held = new Set(
    names.flatMap((name) => {
      const checksum = /^pack-([0-9a-f]{40})\.pack$/.exec(name)?.[1];
      return checksum !== undefined && names.includes(`pack-${checksum}.idx`) ? [checksum] : [];
    }),
  );
  return held.size === 0
    ? undefined
    : { gitFolder: resolve(gitFolder), objectFolder: resolve(objectFolder), held };
}

const PARTIAL_SETTINGS = "^(extensions\\.partialclone|remote\\..*\\.(promisor|partialclonefilter))$";

/** @returns The mirror's plan with the packs alone that are not held; `undefined` where git is to fetch alone. */
async function findNewPacks(
  held: LocalPacks["held"],
  remote: string | undefined,
  output: OutputOptions,
): Promise<FoundPlan | undefined> {
  const found = await findPlan(HERE, remote, output);
  if (found === undefined) return undefined;
  const packs = found.plan.packs.filter(({ checksum }) => checksum === undefined || !held.has(checksum));
  const plan: ClonePlan = { ...found.plan, packs };
  // A mirror that has joined its packs has much in them that is here already.
  const isMostlyHeld = planBytes(plan) * 2 <= planBytes(found.plan);
  return packs.length > 0 && isMostlyHeld ? { ...found, plan } : undefined;
}

/** More of them make a command line too long. git names its own refs to the mirror then. */
const MAX_NAMED_TIPS = 500;

/**
 * Packs are installed before git fetches: whenever this process ends, the repository is whole. git checks that they hold all that the refs
 * need, as after each fetch. If the mirror has got more meanwhile, git names to it what was installed, and receives the rest.
 */
async function fetchByPlan(
  args: readonly string[],
  { gitFolder, objectFolder }: LocalPacks,
  found: FoundPlan,
  options: OutputOptions & Pick<FetchOptions, "verify">,
): Promise<number> {
  const prepared = await downloadPlan(join(gitFolder, "fetch"), found, HERE, options);
  if (prepared === undefined) return runGit(HERE, ["fetch", ...args]);
  await using _removed = prepared;
  if (prepared.endedBy !== undefined) return exitCodeOfSignal(prepared.endedBy);
  await prepared.moveInto(join(objectFolder, "pack"));
  const tips = await prepared.branchTips();
  const named = tips.length > MAX_NAMED_TIPS ? [] : tips.map((id) => `--negotiation-tip=${id}`);
  return runGit(await withCredential(HERE, found), ["fetch", ...named, ...args]);
}

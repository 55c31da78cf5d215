/** Finds the mirror's plan for a repository, and downloads what it names. */
import { UpstreamError } from "../../../lib/errors.ts";
import { formatBytes } from "../../local/progress-line.ts";
import { messageOf } from "../explain.ts";
import { askPlan, credentialQuestion, type GivenPlan } from "./ask-plan.ts";
import { DownloadProgress, say } from "./download-progress.ts";
import { HttpClient } from "./http-client.ts";
import { PreparedObjects, planBytes } from "./prepared-objects.ts";
import { type GitRun, gitOutput } from "./run-git.ts";

interface SayOptions {
  readonly quiet?: true;
}

interface DownloadOptions extends SayOptions {
  readonly progress?: true;
  readonly verify?: true;
}

export interface FoundPlan extends GivenPlan {
  readonly client: HttpClient;
  /** With `url.*.insteadOf` of git's configuration applied. */
  readonly mirrorUrl: string;
  /** Objects are to be looked at as `git fsck` does. */
  readonly isStrict: boolean;
}

/** @returns `undefined` where git is to do it by itself. */
export async function findPlan(
  git: GitRun,
  url: string | undefined,
  options: SayOptions,
): Promise<FoundPlan | undefined> {
  // git's processes run at once: of a small repository they are most of what this command adds.
  const early =
    url === undefined || URL.parse(url) === null ? undefined : new HttpClient(git, url, process.env);
  const [mirrorUrl, fsck] = await Promise.all([
    mirrorUrlOf(git, url),
    readFsckSettings(git),
    // What fails here fails again below, where it is said.
    early?.canReach(early.mirrorUrl).catch(() => undefined),
  ]);
  if (URL.parse(mirrorUrl) === null) return undefined;
  if (fsck.isStrict && fsck.acceptsFaults) return undefined;
  const client = early?.mirrorUrl === mirrorUrl ? early : new HttpClient(git, mirrorUrl, process.env);
  try {
    const given = await askPlan(client, git, mirrorUrl);
    return given && { ...given, client, mirrorUrl, isStrict: fsck.isStrict };
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    say(options, `${messageOf(error)}: git does it by itself`);
    return undefined;
  }
}

/** With `url.*.insteadOf` applied. @param url - Or the name of a remote; the default remote unless given. */
export async function mirrorUrlOf(git: GitRun, url?: string): Promise<string> {
  return (
    await gitOutput(git, ["ls-remote", "--get-url", ...(url === undefined ? [] : ["--", url])])
  ).stdout.replace(/\n$/, "");
}

/**
 * @param target - What the packs are for; beside it they are kept until then.
 * @returns `undefined` if the packs could not be downloaded, or only by git itself. @throws {CorruptPackError} They are damaged.
 */
export async function downloadPlan(
  target: string,
  { plan, client, mirrorUrl, isStrict: strict }: FoundPlan,
  git: GitRun,
  options: DownloadOptions,
): Promise<PreparedObjects | undefined> {
  if (!(await client.canReach(plan.refs.url))) return undefined;
  const progress = new DownloadProgress(options, planBytes(plan));
  try {
    return await PreparedObjects.download(target, plan, {
      ...{ client, git, url: mirrorUrl },
      askAgain: async () => (await askPlan(client, git, mirrorUrl))?.plan,
      onBytes: (bytes) => progress.add(bytes),
      onKept: (bytes, folder) =>
        say(options, `${formatBytes(bytes)} are kept in ${folder}: the same command continues there`),
      deepCheck: strict ? ["--strict"] : options.verify && [],
    });
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    say(options, `${messageOf(error)}: git does it by itself`);
    return undefined;
  } finally {
    progress.end();
  }
}

interface FsckSettings {
  readonly isStrict: boolean;
  /** Those of objects: git takes ids that it does not know there, and not as options of its `index-pack`. */
  readonly acceptsFaults: boolean;
}

/** As for git's fetches: `fetch.fsckObjects` counts before `transfer.fsckObjects`, and of several values the last one. */
async function readFsckSettings(git: GitRun): Promise<FsckSettings> {
  const args = ["config", "--null", "--name-only", "--get-regexp", "^(fetch|transfer)\\.fsck"];
  const names = (await gitOutput(git, args)).stdout.split("\0");
  const name = ["fetch.fsckobjects", "transfer.fsckobjects"].find((one) => names.includes(one));
  const value = name && (await gitOutput(git, ["config", "--type=bool", "--get", name])).stdout.trim();
  return { isStrict: value === "true", acceptsFaults: names.some((one) => one.startsWith("fetch.fsck.")) };
}

/** What a person has typed is not asked for again: where no helper of git's has kept it, git gets it from this process. */
export async function withCredential(git: GitRun, { mirrorUrl, credential }: FoundPlan): Promise<GitRun> {
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

/** Runs the user's git. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { text } from "node:stream/consumers";

/** Of `git rev-parse --local-env-vars`: git sets them for hooks and aliases, and they name the caller's repository, not the new one. */
const REPOSITORY_VARIABLES: readonly string[] = [
  ...["GIT_DIR", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_CONFIG", "GIT_GRAFT_FILE"],
  ...["GIT_SHALLOW_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_IMPLICIT_WORK_TREE"],
  "GIT_INTERNAL_SUPER_PREFIX",
];

/** `git clone` reads no configuration of the repository that the current folder is in. */
const OUTSIDE_REPOSITORIES = { GIT_DIR: "/dev/null" };

export const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface GitRun {
  /** Options before the command, as `-c` and a setting. */
  readonly options: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Not even a message of git's is shown. */
  readonly isSilent?: true;
  /** In the repository of the current folder, or of the environment's variables; else outside of any. */
  readonly isInRepository?: true;
}

export interface GitOutput {
  readonly exitCode: number;
  readonly stdout: string;
}

/**
 * Outside of any repository, unless the run or `--git-dir` says which. Standard error is the user's: git may ask for a password there.
 */
export async function gitOutput(
  { options, env, isSilent, isInRepository }: GitRun,
  args: readonly string[],
  input = "",
): Promise<GitOutput> {
  const child = spawn("git", [...options, ...args], {
    env: {
      ...(isInRepository ? process.env : { ...inheritedEnvironment(), ...OUTSIDE_REPOSITORIES }),
      ...env,
    },
    stdio: ["pipe", "pipe", isSilent ? "ignore" : "inherit"],
  });
  // git may end before it has read all its input; its exit code says so.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [exitCode, stdout] = await Promise.all([exitOf(child), text(child.stdout)]);
  return { exitCode, stdout };
}

/**
 * With the terminal of this process. What is to end this process ends git, which cleans up; then this process does.
 * @returns The exit code.
 */
export async function runGit(
  { options, env, isInRepository }: GitRun,
  args: readonly string[],
): Promise<number> {
  const child = spawn("git", [...options, ...args], {
    env: { ...(isInRepository ? process.env : inheritedEnvironment()), ...env },
    stdio: "inherit",
  });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  // First, as another listener may end this process.
  for (const signal of ENDING_SIGNALS) process.prependListener(signal, pass);
  try {
    return await exitOf(child);
  } finally {
    for (const signal of ENDING_SIGNALS) process.off(signal, pass);
  }
}

function inheritedEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !REPOSITORY_VARIABLES.includes(name)));
}

/** As a shell has it. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? exitCodeOfSignal(signal ?? "SIGKILL")));
  });
}

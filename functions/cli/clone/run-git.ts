/** Runs the user's git. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

export interface GitRun {
  /** Options before the command, as `-c` and a setting. */
  readonly options: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Not even a message of git's is shown. */
  readonly isSilent?: true;
}

export interface GitOutput {
  readonly exitCode: number;
  readonly stdout: string;
}

/** Standard error is the user's: git may ask for a password there. */
export async function gitOutput(
  { options, env, isSilent }: GitRun,
  args: readonly string[],
  input = "",
): Promise<GitOutput> {
  const child = spawn("git", [...options, ...args], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", isSilent ? "ignore" : "inherit"],
  });
  // git may end before it has read all its input; its exit code says so.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [exitCode, stdout] = await Promise.all([exitOf(child), text(child.stdout)]);
  return { exitCode, stdout };
}

/** With the terminal of this process. On Ctrl-C git ends by itself, and this process cleans up after it. @returns The exit code. */
export async function runGit({ options, env }: GitRun, args: readonly string[]): Promise<number> {
  const ignore = () => undefined;
  process.on("SIGINT", ignore);
  const child = spawn("git", [...options, ...args], { env: { ...process.env, ...env }, stdio: "inherit" });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on("SIGTERM", pass);
  try {
    return await exitOf(child);
  } finally {
    process.off("SIGINT", ignore);
    process.off("SIGTERM", pass);
  }
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}

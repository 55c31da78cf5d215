/** Runs the real git, the same on every machine: no user or system configuration, fixed identity and dates. */
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface GitOptions {
  readonly cwd?: string;
  /** Added to, or over, {@link isolatedGitEnvironment}. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; none when absent. */
  readonly input?: Uint8Array | string;
  readonly signal?: AbortSignal;
}

export interface GitResult {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** An environment in which git reads no configuration but the repository's, never prompts and commits reproducibly. */
export function isolatedGitEnvironment(): Record<string, string> {
  const { PATH = "/usr/bin:/bin" } = process.env;
  return {
    PATH,
    HOME: join(tmpdir(), "nearside-no-home"),
    LC_ALL: "C",
    TZ: "UTC",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Ada Author",
    GIT_AUTHOR_EMAIL: "ada@example.com",
    GIT_AUTHOR_DATE: "2026-01-02T03:04:05Z",
    GIT_COMMITTER_NAME: "Carl Committer",
    GIT_COMMITTER_EMAIL: "carl@example.com",
    GIT_COMMITTER_DATE: "2026-01-02T03:04:06Z",
  };
}

/** Runs git and gives whatever came of it, also a failure. */
export async function tryGit(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  const child = spawn("git", ["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", ...args], {
    cwd: options.cwd,
    env: { ...isolatedGitEnvironment(), ...options.env },
    signal: options.signal,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  child.stdout.on("data", (chunk: Uint8Array) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Uint8Array) => stderr.push(chunk));
  // git may end before it has read all its input; its exit code says so.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? -1));
  });
  return { exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString("utf8") };
}

/** @throws {Error} git failed; the message holds its standard error. */
export async function gitBytes(args: readonly string[], options: GitOptions = {}): Promise<Uint8Array> {
  const { exitCode, stdout, stderr } = await tryGit(args, options);
  if (exitCode !== 0) throw new Error(`git ${args.join(" ")} exited with ${exitCode}: ${stderr}`);
  return stdout;
}

/**
 * @returns Standard output as text, without the line feed at its end.
 * @throws {Error} git failed; the message holds its standard error.
 */
export async function git(args: readonly string[], options: GitOptions = {}): Promise<string> {
  return new TextDecoder().decode(await gitBytes(args, options)).replace(/\n$/, "");
}

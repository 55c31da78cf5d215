/** Where a bench works: a temporary folder and the processes it has started. Both are gone when it is closed. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GitOptions, git } from "../support/git/run-git.ts";

/** The bench also reads repositories of other users. */
export const GIT_SAFETY_ENVIRONMENT = {
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
} as const;

export class Workspace {
  readonly folder: string;
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Workspace> {
    return new Workspace(await mkdtemp(join(tmpdir(), "nearside-bench-")));
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** The process ends with the workspace at the latest. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn(command, args, { ...options, signal: this.#ending.signal });
    this.#track(new Promise<void>((resolve) => child.once("exit", () => resolve()).once("error", resolve)));
    return child;
  }

  /** @returns Standard output. @throws {Error} git failed. */
  git(args: readonly string[], options: GitOptions = {}): Promise<string> {
    const env = { ...GIT_SAFETY_ENVIRONMENT, ...options.env };
    const running = git(args, { ...options, env, signal: this.#ending.signal });
    this.#track(running);
    return running;
  }

  progress(text: string): void {
    if (!this.#ending.signal.aborted) process.stderr.write(`bench: ${text}\n`);
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.allSettled(this.#running);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #track(running: Promise<unknown>): void {
    const forget = () => this.#running.delete(running);
    this.#running.add(running);
    running.then(forget, forget);
  }
}

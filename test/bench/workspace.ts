/**
 * Where a bench works: a temporary folder and the processes it has started, both gone when it is closed; and a folder for
 * what took long to prepare, which may be kept for the next time.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type GitOptions, git } from "../support/git/run-git.ts";
import { endProcessTree } from "./process-usage.ts";

/** The bench also reads repositories of other users. */
export const GIT_SAFETY_ENVIRONMENT = {
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
} as const;

export class Workspace {
  readonly folder: string;
  readonly #keptFolder: string;
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  private constructor(folder: string, keptFolder: string) {
    this.folder = folder;
    this.#keptFolder = keptFolder;
  }

  /** @param keptFolder - For what is prepared; made if it is not there. Without it nothing is kept. */
  static async open(keptFolder?: string): Promise<Workspace> {
    const folder = await mkdtemp(join(tmpdir(), "nearside-bench-"));
    return new Workspace(folder, keptFolder === undefined ? join(folder, "prepared") : resolve(keptFolder));
  }

  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** @returns A new folder. */
  async newFolder(name: string): Promise<string> {
    return mkdtemp(this.path(`${name}-`));
  }

  /**
   * A folder that is prepared once for one `recipe`, which says all that its content depends on.
   * @param make - Fills it, empty as it is. What was begun and not finished is made anew.
   */
  async prepared(name: string, recipe: string, make: (folder: string) => Promise<void>): Promise<string> {
    const folder = join(this.#keptFolder, name);
    const recipeFile = `${folder}.recipe`;
    if (existsSync(recipeFile) && (await readFile(recipeFile, "utf8")) === recipe) return folder;
    await Promise.all([rm(recipeFile, { force: true }), rm(folder, { recursive: true, force: true })]);
    await mkdir(folder, { recursive: true });
    await make(folder);
    await writeFile(recipeFile, recipe);
    return folder;
  }

  /** The process ends with the workspace at the latest, and all that it has started. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    const child = spawn(command, args, options);
    const end = () => endProcessTree(child);
    this.#ending.signal.addEventListener("abort", end, { once: true });
    child.once("exit", () => this.#ending.signal.removeEventListener("abort", end));
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

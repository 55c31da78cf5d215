/**
 * Runs git from a small shell that stays. Node's own spawn copies the page tables of the whole process, which takes longer
 * than git does; and thousands of commands are run here.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { type GitResult, isolatedGitEnvironment } from "../git/run-git.ts";

export interface GitCommand {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly input?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs one command at a time; more wait. */
export class GitShell implements AsyncDisposable {
  readonly #folder: string;
  readonly #shell: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: Interface;
  #last: Promise<unknown> = Promise.resolve();

  /** @param folder - Exists; gets the commands' input and output. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#shell = spawn("sh", [], { env: isolatedGitEnvironment(), stdio: ["pipe", "pipe", "inherit"] });
    this.#shell.on("error", (error) => {
      throw error;
    });
    this.#answers = createInterface({ input: this.#shell.stdout });
  }

  /** Gives whatever came of it, also a failure. */
  async try(command: GitCommand): Promise<GitResult> {
    const result = this.#last.then(() => this.#run(command));
    this.#last = result.catch(() => {});
    return result;
  }

  /** @returns Standard output. @throws {Error} git failed. */
  async run(command: GitCommand): Promise<Uint8Array> {
    const { exitCode, stdout, stderr } = await this.try(command);
    if (exitCode !== 0) throw new Error(`git ${command.args.join(" ")} exited with ${exitCode}: ${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    const ended = new Promise((resolve) => this.#shell.once("close", resolve));
    this.#shell.stdin.end();
    await ended;
  }

  async #run({ args, cwd, input, env = {} }: GitCommand): Promise<GitResult> {
    const [inFile, outFile, errorFile] = ["in", "out", "error"].map((name) =>
      join(this.#folder, `git-${name}`),
    );
    if (inFile === undefined || outFile === undefined || errorFile === undefined) throw new Error("no files");
    await writeFile(inFile, input ?? "");
    const variables = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
    const words = ["git", "-C", quote(cwd), ...args.map(quote)];
    const answered = new Promise<string>((resolve) => this.#answers.once("line", resolve));
    const redirections = `<${quote(inFile)} >${quote(outFile)} 2>${quote(errorFile)}`;
    this.#shell.stdin.write(`${[...variables, ...words].join(" ")} ${redirections}; echo $?\n`);
    const exitCode = Number(await answered);
    const [stdout, stderr] = await Promise.all([readFile(outFile), readFile(errorFile, "utf8")]);
    return { exitCode, stdout, stderr };
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

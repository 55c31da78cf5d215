/** Runs the mirror as its users do: `nearside serve` in a process of its own. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { recordOutput } from "./recorded-output.ts";

const PROGRAM = fileURLToPath(new URL("../../functions/cli/nearside.js", import.meta.url));

interface ProcessEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface MirrorAnnouncement {
  readonly url: string;
  readonly repositories: readonly { readonly fullName: string; readonly cloneUrl: string }[];
  readonly primary: { readonly gitUrl: string; readonly apiUrl: string };
}

export interface MirrorProcess {
  readonly pid: number;
  /** Resolves when it has printed its line of JSON; rejects if it ends before. */
  announced(): Promise<MirrorAnnouncement>;
  /** Resolves when standard output holds a match; rejects if the process ends before. */
  untilPrinted(pattern: RegExp): Promise<void>;
  /** The same. @returns What the pattern's first group matched. */
  printed(pattern: RegExp): Promise<string>;
  /** The same as `untilPrinted` for standard error. */
  untilSaid(pattern: RegExp): Promise<void>;
  stderr(): string;
  /** Resolves when the process has ended. */
  stop(signal?: NodeJS.Signals): Promise<ProcessEnd>;
  /** How it ended by itself. */
  ended(): Promise<ProcessEnd>;
}

export interface MirrorProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A program and its arguments, which becomes the one that the others name. */
  readonly through?: readonly string[];
}

export function spawnMirror(args: readonly string[], options: MirrorProcessOptions = {}): MirrorProcess {
  const { PATH = "" } = process.env;
  const [command = "", ...others] = [...(options.through ?? []), process.execPath, PROGRAM, "serve", ...args];
  const child = spawn(command, others, {
    cwd: options.cwd,
    env: { PATH, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new RunningMirror(child);
}

export async function startMirror(
  args: readonly string[],
  options: MirrorProcessOptions = {},
): Promise<MirrorProcess & MirrorAnnouncement> {
  const mirror = spawnMirror(["--json", "--port", "0", ...args], options);
  return Object.assign(mirror, await mirror.announced());
}

class RunningMirror implements MirrorProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #end: Promise<ProcessEnd>;
  readonly #waiting = new Set<() => void>();
  #stdout = "";
  #stderr = "";
  #hasEnded = false;

  constructor(child: ChildProcessByStdio<null, Readable, Readable>) {
    this.#child = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      recordOutput(text);
      this.#wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      recordOutput(text);
      this.#wake();
    });
    this.#end = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (exitCode, signal) => {
        this.#hasEnded = true;
        resolve({ exitCode, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#wake();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async announced(): Promise<MirrorAnnouncement> {
    await this.#until(() => this.#stdout.includes("\n"));
    const { data } = JSON.parse(this.#stdout.slice(0, this.#stdout.indexOf("\n")));
    return data as MirrorAnnouncement;
  }

  async untilPrinted(pattern: RegExp): Promise<void> {
    await this.#until(() => pattern.test(this.#stdout));
  }

  async printed(pattern: RegExp): Promise<string> {
    await this.untilPrinted(pattern);
    return pattern.exec(this.#stdout)?.[1] ?? "";
  }

  async untilSaid(pattern: RegExp): Promise<void> {
    await this.#until(() => pattern.test(this.#stderr));
  }

  stderr(): string {
    return this.#stderr;
  }

  ended(): Promise<ProcessEnd> {
    return this.#end;
  }

  stop(signal: NodeJS.Signals = "SIGINT"): Promise<ProcessEnd> {
    if (!this.#hasEnded) this.#child.kill(signal);
    return this.#end;
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#hasEnded) throw new Error(`the mirror ended early: ${this.#stdout}${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

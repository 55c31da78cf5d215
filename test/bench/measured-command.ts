/** Runs one command to its end and says what it used. */
import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, join } from "node:path";
import { bundleFunction } from "../../infra/bundle.ts";
import { stageCli } from "../../infra/package.ts";
import { isolatedGitEnvironment } from "../support/git/run-git.ts";
import type { Measurement } from "./measurement.ts";
import { CPU_RESOLUTION_SECONDS, endedChildrenCpuSeconds, MemorySampler } from "./process-usage.ts";
import { GIT_SAFETY_ENVIRONMENT, type Workspace } from "./workspace.ts";

export interface CommandOptions {
  readonly cwd?: string;
  /** Fed to standard input; empty when absent. */
  readonly inputFile?: string;
}

export interface MeasuredCommand {
  readonly usage: Omit<Measurement, "bytes">;
  readonly stdout: string;
}

/** @throws {Error} The command failed. */
export async function measureGit(
  workspace: Workspace,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<MeasuredCommand> {
  const env = { ...isolatedGitEnvironment(), ...GIT_SAFETY_ENVIRONMENT };
  return measure(workspace, "git", args, env, options);
}

/** Runs one of the programs in this folder under Node. @throws {Error} It failed. */
export async function measureProgram(
  workspace: Workspace,
  fileName: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): Promise<MeasuredCommand> {
  return measure(
    workspace,
    process.execPath,
    [...nodeOptions, await bundledProgram(workspace, fileName), ...args],
    process.env,
    {},
  );
}

/** Runs a command of `nearside`, as the package has it. @throws {Error} It failed. */
export async function measureCli(
  workspace: Workspace,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<MeasuredCommand> {
  const folder = workspace.path("programs", "package");
  if (!existsSync(folder)) await stageCli(folder);
  return measure(workspace, process.execPath, [join(folder, "bin/nearside.js"), ...args], env, {});
}

/** A program of this folder as it would be deployed: one file, without the compiler that running the sources takes. */
export async function bundledProgram(workspace: Workspace, fileName: string): Promise<string> {
  const folder = workspace.path("programs", basename(fileName, ".ts"));
  const program = join(folder, "index.mjs");
  if (!existsSync(program)) {
    await bundleFunction(
      { entryFile: `test/bench/${fileName}`, workerFiles: ["lib/indexer/index-worker.ts"] },
      folder,
    );
  }
  return program;
}

async function measure(
  workspace: Workspace,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  { cwd, inputFile }: CommandOptions,
): Promise<MeasuredCommand> {
  const input = inputFile === undefined ? undefined : await open(inputFile);
  try {
    return await run(workspace, command, args, { cwd: cwd ?? workspace.folder, env }, input);
  } finally {
    await input?.close();
  }
}

async function run(
  workspace: Workspace,
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  input: FileHandle | undefined,
): Promise<MeasuredCommand> {
  const cpuSecondsBefore = endedChildrenCpuSeconds();
  const startedAtMs = performance.now();
  const child = workspace.spawn(command, args, {
    ...options,
    stdio: [input?.fd ?? "ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const sampler = child.pid === undefined ? undefined : new MemorySampler(child.pid);
  try {
    const exitCode = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal));
    });
    const wallSeconds = (performance.now() - startedAtMs) / 1000;
    if (exitCode !== 0 || sampler === undefined) {
      throw new Error(`${command} ${args.join(" ")} ended with ${exitCode}: ${output.stderr.trim()}`);
    }
    const cpuSeconds = Math.max(CPU_RESOLUTION_SECONDS, endedChildrenCpuSeconds() - cpuSecondsBefore);
    return { usage: { wallSeconds, cpuSeconds, ...sampler.stop() }, stdout: output.stdout };
  } finally {
    sampler?.stop();
  }
}

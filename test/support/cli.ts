/** Runs the command line in this process, which is much faster than one of its own for each command. */
import { expect, vi } from "vitest";
import { runNearside } from "../../functions/cli/program.ts";
import { recordOutput } from "./recorded-output.ts";

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * One at a time.
 * @param args - The command and what belongs to it.
 */
export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CliResult> {
  let stdout = "";
  let stderr = "";
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const exitCode = await runNearside(args);
    return { exitCode, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
    vi.unstubAllEnvs();
    recordOutput(`${stdout}${stderr}`);
  }
}

/** The data of what `--json` has printed, whose envelope is checked. */
export function dataOf(stdout: string): unknown {
  const { schema, version, timestamp, data, ...more } = JSON.parse(stdout);
  expect({ schema, version, timestamp, more }).toEqual({
    schema: expect.stringMatching(/^nearside\.[a-z-]+$/),
    version: 1,
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    more: {},
  });
  return data;
}

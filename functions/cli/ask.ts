/** Questions to the person at a terminal. */
import { createInterface } from "node:readline/promises";
import { ConfigError } from "../../lib/errors.ts";

export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Not standard output: that is for what programs read. */
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/**
 * @returns The trimmed answer; `undefined` without a terminal.
 * @throws {ConfigError} Ctrl-C or the end of the input, which are no answer.
 */
export async function ask(question: string, { input, output }: Terminal): Promise<string | undefined> {
  if (!input.isTTY || !output.isTTY) return undefined;
  const lines = createInterface({ input, output });
  const ended = new Promise<never>((_, reject) =>
    lines.once("close", () => reject(new ConfigError("the question was not answered: nothing is done"))),
  );
  try {
    return (await Promise.race([lines.question(question), ended])).trim();
  } finally {
    lines.close();
  }
}

/** Questions to the person at a terminal. */
import { createInterface } from "node:readline/promises";

export interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Not standard output: that is for what programs read. */
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** @returns The trimmed answer; `undefined` where nobody is there to answer, or the input ends. */
export async function ask(question: string, { input, output }: Terminal): Promise<string | undefined> {
  if (!input.isTTY || !output.isTTY) return undefined;
  const lines = createInterface({ input, output });
  const ended = new Promise<undefined>((resolve) => lines.once("close", () => resolve(undefined)));
  try {
    return (await Promise.race([lines.question(question), ended]))?.trim();
  } finally {
    lines.close();
  }
}

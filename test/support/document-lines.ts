/** The command lines of the documents. */
import { globSync, readFileSync } from "node:fs";

/** In the order of the documents. Continued lines are one; comments behind them are left out. */
export function documentLines(): string[] {
  return [...globSync("*.md"), ...globSync("docs/*.md")].toSorted().flatMap(linesOf);
}

function linesOf(document: string): string[] {
  const blocks = [...readFileSync(document, "utf8").matchAll(/^```sh\n([\s\S]*?)^```$/gm)];
  return blocks.flatMap(([, block = ""]) =>
    block
      .replaceAll(/ *\\\n\s*/g, " ")
      .split("\n")
      .map((line) => line.replace(/\s+# .*$/, "").trim())
      .filter((line) => line !== "" && !line.startsWith("#")),
  );
}

/** Whether it is run by test/interop/document-lines.test.ts: it talks to a mirror, or uses the script from there. */
export function takesMirror(line: string): boolean {
  return /^(curl|git clone|sh setup\.sh|printf|export GIT_CONFIG_COUNT)\b/.test(line);
}

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

/**
 * Our own commands of the documents, without what stands before the command: those of blocks are whole, those within a paragraph may leave
 * arguments out. Placeholders are values of their kind.
 */
export function documentCommands(): { readonly words: string[]; readonly isWhole: boolean }[] {
  const blocks = documentLines().flatMap((line) =>
    line
      .split(/ && |; /)
      .flatMap((part) => {
        const [, start, command] =
          /^(npm start(?: --)?|npx --yes \.\/nearside-\S+|nearside)( .*|$)/.exec(part) ?? [];
        if (start === undefined) return [];
        return [start.startsWith("npm start") ? `serve${command}` : (command ?? "")];
      })
      .map((text) => ({ words: wordsOf(text), isWhole: true })),
  );
  const spans = [...globSync("README.md"), ...globSync("docs/*.md")].flatMap((document) =>
    [...readFileSync(document, "utf8").matchAll(/`nearside ([^`]+)`/g)].map(([, text = ""]) => ({
      words: wordsOf(text),
      isWhole: false,
    })),
  );
  return [...blocks, ...spans].filter(({ words }) => words[0] !== "sample");
}

function wordsOf(text: string): string[] {
  return text
    .replaceAll(/<[^>]*url[^>]*>|\$MIRROR\b/gi, "https://sample.example")
    .replaceAll("<workspace/repository>", "acme/sample")
    .replaceAll(/<[^>]*>|\[[^\]]*\]|\$\w+|…/g, "sample")
    .replaceAll(/["']/g, "")
    .trim()
    .split(/\s+/);
}

/** Whether it is run by test/interop/document-lines.test.ts: it talks to a mirror, or uses the script from there. */
export function takesMirror(line: string): boolean {
  return /^(curl|git clone(?! http:)|git -C|sh setup\.sh|printf|export GIT_CONFIG_)/.test(line);
}

/** Help in the width of the terminal; 80 columns where there is none. */
import { Help } from "commander";

const COLUMNS = 80;

/**
 * Wraps what commander does not: texts added to a help. Paragraphs are filled anew; indented lines stay apart, and continue below
 * their second column.
 */
export function wrapHelp(text: string, columns: number = terminalColumns()): string {
  const help = new Help();
  help.minWidthToWrap = 15;
  const wrapLine = (line: string) => {
    if (line.length <= columns) return line;
    const [lead = ""] = /^ *(?:\S+(?: \S+)*? {2,})?/.exec(line) ?? [];
    const indent = lead.trim() === "" && lead !== "" ? lead.length + 2 : lead.length;
    const filled = help
      .boxWrap(line.slice(lead.length), columns - indent)
      .replaceAll("\n", `\n${" ".repeat(indent)}`);
    return lead + filled;
  };
  return joined(text.split("\n"), columns).map(wrapLine).join("\n");
}

/** Lines of a paragraph that was broken at more than the columns. */
function joined(lines: readonly string[], columns: number): string[] {
  const paragraphs: string[] = [];
  let isOpen = false;
  for (const line of lines) {
    const isText = /^[^ ]/.test(line);
    if (isOpen && isText) paragraphs.push(`${paragraphs.pop()} ${line}`);
    else paragraphs.push(line);
    isOpen = isText && (isOpen || line.length > columns) && !/[.:]$/.test(line);
  }
  return paragraphs;
}

function terminalColumns(): number {
  return process.stdout.isTTY ? process.stdout.columns || COLUMNS : COLUMNS;
}

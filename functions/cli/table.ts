/** Text for a terminal: lines with columns, and words of others. */

const CONTROLS = /[\p{Cc}\p{Bidi_Control}]/gu;

/** Control characters in a name, or in Bitbucket's words, could move the cursor or hide part of a line. */
export function visible(text: string): string {
  return text.replace(CONTROLS, "?");
}

/** @returns `1 repository`, `2 repositories`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(visible));
  const widths = head.map((_, column) =>
    all.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return all.map((row) => `  ${line(row)}`).join("\n");
}

/** Text for a terminal: lines with columns, and words of others. */

const CONTROLS = /[\p{Cc}\p{Bidi_Control}]/gu;

/** Control characters in a name, or in Bitbucket's words, could move the cursor or hide part of a line. */
export function visible(text: string): string {
  return text.replace(CONTROLS, "?");
}

function fitted(cell: string, width: number): string {
  return cell.length <= width ? cell : `${cell.slice(0, width - 1)}…`;
}

/** @returns `1 repository`, `2 repositories`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Narrower, a cell would say nothing. */
const MIN_CELL = 8;

/**
 * @param columns - Of the terminal: the widest cells of a wider table are cut. None for a pipe, whose reader wants whole names.
 */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  columns = Number.POSITIVE_INFINITY,
): string {
  const whole = [head, ...rows].map((row) => row.map(visible));
  const widths = head.map((_, column) =>
    whole.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  );
  for (;;) {
    const widest = Math.max(...widths);
    const excess = widths.reduce((sum, width) => sum + width + 2, 0) - columns;
    if (excess <= 0 || widest <= MIN_CELL) break;
    const next = Math.max(MIN_CELL, ...widths.filter((width) => width < widest));
    widths[widths.indexOf(widest)] = Math.max(next - 1, widest - excess, MIN_CELL);
  }
  const all = whole.map((row) => row.map((cell, column) => fitted(cell, widths[column] ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return all.map((row) => `  ${line(row)}`).join("\n");
}

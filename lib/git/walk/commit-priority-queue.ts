/** Rows, newest first: a binary heap. */
import type { CommitRow } from "../object-numbers.ts";
export class CommitPriorityQueue {
  readonly #rows: number[] = [];
  readonly #secondsOf: (row: CommitRow) => number;

  constructor(secondsOf: (row: CommitRow) => number) {
    this.#secondsOf = secondsOf;
  }

  get length(): number {
    return this.#rows.length;
  }

  /** What `pop` would return. */
  peek(): number | undefined {
    return this.#rows[0];
  }

  push(row: CommitRow): void {
    const rows = this.#rows;
    const seconds = this.#secondsOf(row);
    let index = rows.length;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parentRow = rows[parentIndex] as number;
      if (this.#secondsOf(parentRow) >= seconds) break;
      rows[index] = parentRow;
      index = parentIndex;
    }
    rows[index] = row;
  }

  pop(): number | undefined {
    const rows = this.#rows;
    const top = rows[0];
    const last = rows.pop();
    if (rows.length === 0 || last === undefined) return top;
    const seconds = this.#secondsOf(last);
    let index = 0;
    for (let childIndex = 1; childIndex < rows.length; childIndex = index * 2 + 1) {
      const right = childIndex + 1;
      if (right < rows.length && this.#secondsAt(right) > this.#secondsAt(childIndex)) childIndex = right;
      if (this.#secondsAt(childIndex) <= seconds) break;
      rows[index] = rows[childIndex] as number;
      index = childIndex;
    }
    rows[index] = last;
    return top;
  }

  #secondsAt(index: number): number {
    return this.#secondsOf(this.#rows[index] as number);
  }
}

/** Shows on a terminal how a sync goes: one line, drawn anew; elsewhere a line for each phase. */
import type { CompactionProgress } from "../../lib/repo/compaction/compact-repository.ts";
import type { SyncProgress } from "../../lib/sync/sync-context.ts";

const REDRAW_MS = 100;
/** Without a terminal, where copies of files are one long phase. */
const FILES_LINE_MS = 30_000;
const ERASE_LINE = "\r\u001b[K";

/** LFS files of one repository, so far. */
interface CopyProgress {
  readonly phase: "copying-files";
  readonly files: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
}

type Progress = SyncProgress | CompactionProgress | CopyProgress;

export interface ProgressOutput {
  readonly isTTY?: boolean;
  /** Of a terminal. */
  readonly columns?: number;
  write(text: string): unknown;
}

export class ProgressLine {
  readonly #output: ProgressOutput;
  #drawnAtMs = 0;
  #filesAtMs = performance.now();
  #expected = 0;
  #finished = 0;
  /** Of each repository that is under way. */
  readonly #phases = new Map<string, string>();
  #isDrawn = false;

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  /** Repositories that are to come; with several, each line says how many are done. */
  expect(count: number): void {
    this.#expected += count;
  }

  /** One of them is done, well or not. */
  finish(): void {
    this.#finished += 1;
  }

  /** @returns What to call with the progress of a repository. */
  showing(name: string): (progress: Progress) => void {
    return (progress) => this.#show(name, progress);
  }

  #show(name: string, progress: Progress): void {
    // Listing is over in a moment, and each poll does it.
    if (progress.phase === "listing") return;
    const isNewPhase = progress.phase !== this.#phases.get(name);
    if (!this.#output.isTTY) {
      if (progress.phase === "copying-files" ? this.#isFilesLineDue() : isNewPhase)
        this.#output.write(`${new Date().toISOString()} ${this.#count()}${name}: ${describe(progress)}\n`);
    } else if (isNewPhase || performance.now() >= this.#drawnAtMs + REDRAW_MS) {
      this.#drawnAtMs = performance.now();
      // A line that wraps could not be erased.
      const width = (this.#output.columns ?? 80) - 1;
      const count = this.#count();
      this.#output.write(`${ERASE_LINE}${count}${fitted(name, describe(progress), width - count.length)}`);
      this.#isDrawn = true;
    }
    this.#phases.set(name, progress.phase);
    if (progress.phase === "publishing") this.#phases.delete(name);
  }

  #count(): string {
    return this.#expected > 1 ? `${Math.min(this.#finished, this.#expected)} of ${this.#expected}, ` : "";
  }

  #isFilesLineDue(): boolean {
    const isDue = performance.now() >= this.#filesAtMs + FILES_LINE_MS;
    if (isDue) this.#filesAtMs = performance.now();
    return isDue;
  }

  /** Prints what has happened, with the time: a line of a program that runs for long. */
  note(text: string): void {
    this.print(`${new Date().toISOString()} ${text}`);
  }

  /** Prints a line that stays. */
  print(text: string): void {
    if (this.#isDrawn) this.#output.write(ERASE_LINE);
    this.#isDrawn = false;
    this.#output.write(`${text}\n`);
  }
}

/** Of a long name the end is shown, and how far it is always. */
function fitted(name: string, text: string, width: number): string {
  const room = width - text.length - 2;
  if (name.length <= room) return `${name}: ${text}`;
  return room > 1 ? `…${name.slice(1 - room)}: ${text}` : text.slice(0, width);
}

const OBJECT_PHASES = {
  scanning: "indexing",
  resolving: "resolving deltas",
  "reading-history": "reading history",
  compacting: "compacting packs",
} as const;

function describe(progress: Progress): string {
  switch (progress.phase) {
    case "listing":
      return "listing refs";
    case "waiting":
      return (
        progress.text
          .trim()
          .split(/[\r\n]/)
          .at(-1) || "waiting for the primary"
      );
    case "importing":
      return `importing a large history, ${Math.floor((100 * progress.steps) / progress.totalSteps)}% here`;
    case "receiving":
      return `receiving, ${formatBytes(progress.receivedBytes)}`;
    case "scanning":
    case "resolving":
    case "reading-history":
    case "compacting":
      return `${OBJECT_PHASES[progress.phase]}, ${progress.objects} of ${progress.totalObjects} objects`;
    case "publishing":
      return "publishing";
    case "copying-files":
      return `${progress.files} files, ${formatBytes(progress.bytes)}, ${formatBytes(progress.bytesPerSecond)}/s`;
  }
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

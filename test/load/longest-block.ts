/**
 * The longest time for which this thread's event loop made no turn, and what the thread did meanwhile: it computed, it waited for a
 * core that others had, or it slept (for the disk, or for a thread of its own). Linux's schedstat counts the first two.
 */
import { readFileSync } from "node:fs";

/** In ms. */
export interface LongestBlock {
  readonly wallMs: number;
  /** Of it: for a core. */
  readonly queuedMs: number;
  /** The most CPU time between two turns; of another moment. */
  readonly cpuMs: number;
}

const INTERVAL_MS = 2;
const NS_PER_MS = 1e6;

/** CPU time of this thread, and time for which it was ready and had no core. See Documentation/scheduler/sched-stats.rst. */
function readSchedule(): { readonly cpuMs: number; readonly queuedMs: number } {
  const [cpuNs = 0, queuedNs = 0] = readFileSync("/proc/thread-self/schedstat", "utf8")
    .split(" ")
    .map(Number);
  return { cpuMs: cpuNs / NS_PER_MS, queuedMs: queuedNs / NS_PER_MS };
}

export interface Turn {
  readonly wallMs: number;
  readonly cpuMs: number;
}

export class BlockWatch {
  #longest: LongestBlock = { wallMs: 0, queuedMs: 0, cpuMs: 0 };
  #lastMs = performance.now();
  #last = readSchedule();

  /** @param onTurn - Called with each time between two turns. */
  constructor(onTurn?: (turn: Turn) => void) {
    setInterval(() => this.#look(onTurn), INTERVAL_MS).unref();
  }

  /** Since the last call. */
  take(): LongestBlock {
    const longest = this.#longest;
    this.#longest = { wallMs: 0, queuedMs: 0, cpuMs: 0 };
    return longest;
  }

  #look(onTurn?: (turn: Turn) => void): void {
    const nowMs = performance.now();
    const now = readSchedule();
    const wallMs = nowMs - this.#lastMs - INTERVAL_MS;
    const cpuMs = now.cpuMs - this.#last.cpuMs;
    const isLongest = wallMs > this.#longest.wallMs;
    const queuedMs = isLongest ? now.queuedMs - this.#last.queuedMs : this.#longest.queuedMs;
    this.#longest = {
      wallMs: Math.max(wallMs, this.#longest.wallMs),
      queuedMs,
      cpuMs: Math.max(cpuMs, this.#longest.cpuMs),
    };
    onTurn?.({ wallMs, cpuMs });
    this.#lastMs = nowMs;
    this.#last = now;
  }
}

/** What a process and all its descendants use, from Linux's /proc. Source: proc(5). */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";

/** USER_HZ, the unit of CPU time in /proc: the same on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** What CPU time is rounded to. A shorter time is given as this, so that ratios exist. */
export const CPU_RESOLUTION_SECONDS = 1 / TICKS_PER_SECOND;
const SAMPLE_INTERVAL_MS = 10;

export interface PeakMemory {
  /** Largest sum of resident set sizes, mapped files included. */
  readonly peakMemoryBytes: number;
  /** The same without mapped files: those are the system's cache, and go when memory is needed. */
  readonly peakAnonymousBytes: number;
}

/** CPU time of the living processes below and with `rootPid`, with what their ended children used. */
export function treeCpuSeconds(rootPid: number): number {
  let ticks = 0;
  for (const pid of processTree(rootPid)) {
    const { ownTicks, childTicks } = cpuTicks(pid);
    ticks += ownTicks + childTicks;
  }
  return ticks / TICKS_PER_SECOND;
}

/** CPU time of all children of this process that have ended. */
export function endedChildrenCpuSeconds(): number {
  return cpuTicks(process.pid).childTicks / TICKS_PER_SECOND;
}

/** `rootPid` and its living descendants. */
export function processTree(rootPid: number): number[] {
  const pids = [rootPid];
  for (const pid of pids) {
    const children = readProc(`${pid}/task/${pid}/children`);
    for (const child of children.split(" ")) if (child !== "") pids.push(Number(child));
  }
  return pids;
}

/** Ends a process and its living descendants: those of one that is killed would go on. */
export function endProcessTree({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  for (const treePid of processTree(pid)) {
    try {
      process.kill(treePid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Looks at a process tree's memory every 10 ms. */
export class MemorySampler {
  readonly #rootPid: number;
  readonly #timer: NodeJS.Timeout;
  #peakMemoryBytes = 0;
  #peakAnonymousBytes = 0;

  constructor(rootPid: number) {
    this.#rootPid = rootPid;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
  }

  stop(): PeakMemory {
    clearInterval(this.#timer);
    this.#sample();
    return { peakMemoryBytes: this.#peakMemoryBytes, peakAnonymousBytes: this.#peakAnonymousBytes };
  }

  #sample(): void {
    let residentBytes = 0;
    let anonymousBytes = 0;
    for (const pid of processTree(this.#rootPid)) {
      const status = readProc(`${pid}/status`);
      residentBytes += statusBytes(status, "VmRSS");
      anonymousBytes += statusBytes(status, "RssAnon");
      // The system's own high-water mark of one process also sees what is between two samples.
      this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, statusBytes(status, "VmHWM"));
    }
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, residentBytes);
    this.#peakAnonymousBytes = Math.max(this.#peakAnonymousBytes, anonymousBytes);
  }
}

function cpuTicks(pid: number): { readonly ownTicks: number; readonly childTicks: number } {
  const stat = readProc(`${pid}/stat`);
  // The second field, the command's name, may hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = (fieldNumber: number): number => Number(fields[fieldNumber - 3] ?? 0);
  return { ownTicks: ticks(14) + ticks(15), childTicks: ticks(16) + ticks(17) };
}

/** A process that has just ended has no such line, and counts as nothing. */
function statusBytes(status: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status);
  return Number(match?.[1] ?? 0) * 1024;
}

/** @returns "" for a process that has ended. */
function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "latin1").trimEnd();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}

/**
 * Preloaded by `node --import` into the server under load: at each message over the IPC channel it answers with the longest block of
 * the event loop since the last one. The CPU time is that of the main thread, so it does not count what other processes took. If the
 * message names a file, a CPU profile of the time since the last message is written there, with the longest blocks' times in it.
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";

/** In ms; of different moments. */
export interface LongestBlock {
  readonly wallMs: number;
  readonly cpuMs: number;
}

const INTERVAL_MS = 2;

let wallMs = 0;
let cpuMs = 0;
let lastMs = performance.now();
let lastCpu = process.threadCpuUsage();

/** Those that a profile is read for. */
const NOTED_CPU_MS = 30;

interface NotedBlock {
  /** In microseconds of the profile's clock. */
  readonly startTime: number;
  readonly endTime: number;
  readonly cpuMs: number;
}

let blocks: NotedBlock[] = [];
let lastTime = process.hrtime.bigint();

setInterval(() => {
  const nowMs = performance.now();
  const time = process.hrtime.bigint();
  const { user, system } = process.threadCpuUsage(lastCpu);
  const spentCpuMs = (user + system) / 1000;
  wallMs = Math.max(wallMs, nowMs - lastMs - INTERVAL_MS);
  cpuMs = Math.max(cpuMs, spentCpuMs);
  if (session !== undefined && spentCpuMs > NOTED_CPU_MS)
    blocks.push({ startTime: Number(lastTime / 1000n), endTime: Number(time / 1000n), cpuMs: spentCpuMs });
  lastMs = nowMs;
  lastTime = time;
  lastCpu = process.threadCpuUsage();
}, INTERVAL_MS).unref();

let session: Session | undefined;

async function takeProfile(path: string): Promise<void> {
  if (session !== undefined) {
    const { profile } = await session.post("Profiler.stop");
    writeFileSync(path, JSON.stringify({ ...profile, blocks }));
  }
  if (session === undefined) {
    session = new Session();
    session.connect();
  }
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  blocks = [];
}

async function report(profilePath: string | undefined): Promise<void> {
  const longest: LongestBlock = { wallMs, cpuMs };
  if (profilePath !== undefined) await takeProfile(profilePath);
  process.send?.(longest);
  wallMs = 0;
  cpuMs = 0;
}

process.on("message", ({ profilePath }: { readonly profilePath?: string }) => void report(profilePath));
// The server's life does not depend on the channel.
process.channel?.unref();

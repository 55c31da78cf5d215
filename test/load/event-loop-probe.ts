/**
 * Preloaded by `node --import` into the server under load: at each message over the IPC channel it answers with the longest block of
 * the event loop since the last one. The CPU time is that of the main thread, so it does not count what other processes took.
 */

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

setInterval(() => {
  const nowMs = performance.now();
  const { user, system } = process.threadCpuUsage(lastCpu);
  wallMs = Math.max(wallMs, nowMs - lastMs - INTERVAL_MS);
  cpuMs = Math.max(cpuMs, (user + system) / 1000);
  lastMs = nowMs;
  lastCpu = process.threadCpuUsage();
}, INTERVAL_MS).unref();

process.on("message", () => {
  process.send?.({ wallMs, cpuMs } satisfies LongestBlock);
  wallMs = 0;
  cpuMs = 0;
});
// The server's life does not depend on the channel.
process.channel?.unref();

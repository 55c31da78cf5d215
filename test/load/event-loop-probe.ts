/**
 * Preloaded by `node --import` into the server under load: at each message over the IPC channel it answers with the longest block of
 * the event loop since the last one. If the message names a file, a CPU profile of the time since the last message is written there,
 * with the longest blocks' times in it.
 */
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { BlockWatch, type Turn } from "./longest-block.ts";

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

const watch = new BlockWatch(({ cpuMs }: Turn) => {
  const time = process.hrtime.bigint();
  if (session !== undefined && cpuMs > NOTED_CPU_MS)
    blocks.push({ startTime: Number(lastTime / 1000n), endTime: Number(time / 1000n), cpuMs });
  lastTime = time;
});

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
  const longest = watch.take();
  if (profilePath !== undefined) await takeProfile(profilePath);
  process.send?.(longest);
}

process.on("message", ({ profilePath }: { readonly profilePath?: string }) => void report(profilePath));
// The server's life does not depend on the channel.
process.channel?.unref();

/** `nearside serve` */
import { constants } from "node:os";
import type { Command } from "commander";
import { serverArguments, serverOptions } from "../local/arguments.ts";
import { runServer } from "../local/run-server.ts";

export function configure(command: Command): void {
  serverOptions(command).action(serve);
}

async function serve(_: unknown, command: Command): Promise<void> {
  const given = serverArguments(command);
  const stop = untilStopped();
  if (!given.tier) return runServer(given, stop);
  const { runTier } = await import("../local/run-tier.ts");
  await runTier(given, stop);
}

/** @returns Aborts at the first SIGINT or SIGTERM; a second one ends the process. */
export function untilStopped(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(128 + constants.signals[signal]);
      stopping.abort();
    });
  }
  return stopping.signal;
}

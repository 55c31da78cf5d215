import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** Where the processor has such keys, V8 now and then aborts a process whose worker threads compile at the same time: nodejs/node#64500. */
const execArgv = ["--no-memory-protection-keys"];

export default defineConfig({
  test: {
    // A third of a worker's time is waiting, for other processes.
    maxWorkers: Math.ceil(1.5 * availableParallelism()),
    projects: [
      // A time-out is for what hangs: machines may be busy.
      {
        test: {
          name: "unit",
          execArgv,
          include: ["test/unit/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "contract",
          execArgv,
          include: ["test/contract/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "interop",
          execArgv,
          include: ["test/interop/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: "infra",
          execArgv,
          include: ["test/infra/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});

/**
 * Rows `start-…`: how long Node 24 takes to load a deployed function's bundle, its clients made, beyond what it takes to start with
 * nothing. Both are started in turns.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { bundleFunction, FUNCTION_SOURCES, type FunctionName, PROJECT_FOLDER } from "../../infra/bundle.ts";
import { ENV } from "../../lib/config.ts";
import type { LatencyReport, Row } from "./row.ts";
import type { Workspace } from "./workspace.ts";

const STARTS = 15;
const NODE = join(PROJECT_FOLDER, "node_modules/node/bin/node");

/** What the functions demand to be set. Nothing is requested. */
export const FUNCTION_ENVIRONMENT = {
  [ENV.bucket]: "bucket",
  [ENV.authSecret]: "a secret of a bench that signs nothing that counts",
  [ENV.secretPath]: "/nearside/",
  [ENV.syncQueueUrl]: "https://sqs.us-east-1.amazonaws.com/000000000000/sync.fifo",
  [ENV.lfsQueueUrl]: "https://sqs.us-east-1.amazonaws.com/000000000000/lfs.fifo",
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "secret",
};

/** @param maxMs - Beyond bare Node. */
export function coldStartRow(name: string, source: FunctionName, maxMs: number): Row {
  return {
    name,
    goals: { p50Ms: maxMs, p99Ms: 2 * maxMs },
    measure: (workspace, { isSmoke }) => measureStarts(name, source, workspace, isSmoke ? 2 : STARTS),
  };
}

async function measureStarts(
  name: string,
  source: FunctionName,
  workspace: Workspace,
  starts: number,
): Promise<LatencyReport> {
  const folder = join(await workspace.newFolder(name), "code");
  await bundleFunction(FUNCTION_SOURCES[source], folder);
  const bundle = pathToFileURL(join(folder, "index.mjs")).href;
  // The runtime has this global before it loads the bundle.
  const runtime = "globalThis.awslambda = { streamifyResponse: (handler) => handler }";
  const load = `${runtime}; await import(${JSON.stringify(bundle)}); process.exit(0)`;
  const bareMs: number[] = [];
  const loadedMs: number[] = [];
  for (let start = 0; start <= starts; start++) {
    const took = [await startedMs("0"), await startedMs(load)] as const;
    // The first reads the files from disk.
    if (start === 0) continue;
    bareMs.push(took[0]);
    loadedMs.push(took[1]);
  }
  const [bare, loaded] = [bareMs.toSorted(inOrder), loadedMs.toSorted(inOrder)];
  const besideMs = median(bare);
  return {
    ...{ name, times: starts, unit: "starts", besideMs },
    p50Ms: median(loaded) - besideMs,
    p99Ms: (loaded.at(-1) ?? Number.NaN) - besideMs,
  };
}

export async function startedMs(code: string): Promise<number> {
  const beganMs = performance.now();
  await promisify(execFile)(NODE, ["--input-type=module", "-e", code], { env: FUNCTION_ENVIRONMENT });
  return performance.now() - beganMs;
}

export function inOrder(a: number, b: number): number {
  return a - b;
}

export function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** A server in processes of its own, whose use of the machine can be measured. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { SERVING_NODE_OPTIONS } from "../../infra/bundle.ts";
import type { StoreCounts } from "../support/store/counting-blob-store.ts";
import { bundledProgram } from "./measured-command.ts";
import { endProcessTree, processTree, treeCpuSeconds } from "./process-usage.ts";
import type { Workspace } from "./workspace.ts";

export interface MeasuredServer {
  /** Without a slash at its end. */
  readonly url: string;
  /** The process whose tree's memory is the server's. */
  readonly rootPid: number;
  /** CPU time used since the start. Call it while no request is under way. */
  cpuSeconds(): Promise<number>;
  /** What the server asked of the mirror's store since the last call. */
  takeStoreCounts?(): Promise<StoreCounts>;
  close(): Promise<void>;
}

/**
 * The mirror's own server over the store in this folder.
 * @param delayMs - Added to each request to the store.
 * @param processes - Which share the store and the address.
 */
export async function startMirrorServer(
  workspace: Workspace,
  storeFolder: string,
  delayMs: number,
  processes = 1,
): Promise<MeasuredServer> {
  const args = [storeFolder, String(delayMs), String(processes)];
  const { child, url, rootPid } = await startServerProgram(workspace, "mirror-server-child.ts", args);
  return {
    url,
    rootPid,
    cpuSeconds: async () => treeCpuSeconds(rootPid),
    async takeStoreCounts(): Promise<StoreCounts> {
      const answered = once(child, "message");
      child.send("take-store-counts");
      const [counts] = (await answered) as [StoreCounts];
      return counts;
    },
    close: () => endChild(child),
  };
}

/** git-http-backend(1) started by a small server in Node: for machines without a web server. */
export async function startPlainGitServer(workspace: Workspace, root: string): Promise<MeasuredServer> {
  const { child, url, rootPid } = await startServerProgram(workspace, "git-server-child.ts", [root]);
  return {
    url,
    rootPid,
    async cpuSeconds(): Promise<number> {
      await untilIdle(rootPid, 1);
      return treeCpuSeconds(rootPid);
    },
    close: () => endChild(child),
  };
}

/** Ends it, with all that it has started, and waits for that. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  endProcessTree(child);
  await ended;
}

/**
 * Resolves when the process and those below it are no more than `processCount`: the last bytes of an answer leave before
 * those who made them end.
 */
export async function untilIdle(rootPid: number, processCount: number): Promise<void> {
  while (processTree(rootPid).length > processCount) await new Promise((resolve) => setTimeout(resolve, 5));
}

interface ServerProgram {
  readonly child: ChildProcess;
  readonly url: string;
  readonly rootPid: number;
}

/** Each of these prints its URL when it is ready, and ends when its channel to this process is closed. */
async function startServerProgram(
  workspace: Workspace,
  fileName: string,
  args: readonly string[],
): Promise<ServerProgram> {
  const program = await bundledProgram(workspace, fileName);
  // As the function that serves git is deployed.
  const child = workspace.spawn(process.execPath, [SERVING_NODE_OPTIONS, program, ...args], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const { stdout, pid } = child;
  if (stdout === null || pid === undefined) throw new Error(`${fileName} did not start`);
  for await (const url of createInterface({ input: stdout })) return { child, url, rootPid: pid };
  throw new Error(`${fileName} ended before it was ready`);
}

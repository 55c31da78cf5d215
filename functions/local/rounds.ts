/** The local mirror's schedule: goes through everything, waits until the queue has done it, and begins again. */
import type { MemoryJobQueue } from "../../lib/queue/memory-job-queue.ts";
import type { WorkspaceReport } from "../../lib/reconcile/reconcile-mirror.ts";
import type { ReconcileMode } from "../../lib/reconcile/reconcile-workspace.ts";
import { delay } from "./delay.ts";

export interface RoundsOptions {
  readonly reconcile: (mode: ReconcileMode) => Promise<readonly WorkspaceReport[]>;
  readonly queue: MemoryJobQueue;
  /** All that there are: what another process has replayed is looked for before each round. */
  readonly queues: readonly MemoryJobQueue[];
  readonly onFailed: (workspace: string, error: unknown) => void;
  readonly intervalMs: number;
  /** Ends the rounds. */
  readonly signal: AbortSignal;
}

/** @param onFirstRound - Called once every repository has been tried. */
export async function runRounds(options: RoundsOptions, onFirstRound: () => Promise<void>): Promise<void> {
  const { reconcile, queue, queues, onFailed, intervalMs, signal } = options;
  for (let round = 1; !signal.aborted; round++) {
    for (const queue of queues) await queue.takeKept();
    const reports = await reconcile(round === 1 ? "list" : "quick");
    for (const { workspace, failure } of reports) {
      if (failure !== undefined && !signal.aborted) onFailed(workspace, failure);
    }
    await queue.idle();
    if (round === 1 && !signal.aborted) await onFirstRound();
    await delay(intervalMs, signal);
  }
}

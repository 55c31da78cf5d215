/** Sends a function's streamed response at AWS's pace. */
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { StreamedResponse } from "./streamed-response.ts";

export interface Pace {
  /** Not limited before that. */
  readonly burstBytes: number;
  readonly bytesPerSecond: number;
}

/** Of Lambda. API Gateway's is the same after 10 MB; which of them counts from 6 to 10 MB is not documented. */
export const LAMBDA_PACE: Pace = { burstBytes: 6_000_000, bytesPerSecond: 2_000_000 };

/**
 * The function does not notice that the client is gone: its response is read to the end all the same.
 * @throws {Error} The function failed on the way: the response is to be cut.
 */
export async function sendStream(
  { body }: StreamedResponse,
  outgoing: ServerResponse,
  pace: Pace,
  signal: AbortSignal,
): Promise<void> {
  let sentBytes = 0;
  let limitedSinceMs: number | undefined;
  for await (const chunk of body) {
    signal.throwIfAborted();
    sentBytes += chunk.length;
    if (sentBytes > pace.burstBytes) {
      limitedSinceMs ??= performance.now();
      const dueMs = limitedSinceMs + (1000 * (sentBytes - pace.burstBytes)) / pace.bytesPerSecond;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal });
    }
    if (!outgoing.destroyed && !outgoing.write(chunk)) await drained(outgoing, signal);
  }
  if (!outgoing.destroyed) outgoing.end();
}

function drained(outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => settle(() => reject(signal.reason));
    const onDone = () => settle(resolve);
    function settle(then: () => void): void {
      outgoing.off("drain", onDone).off("close", onDone);
      signal.removeEventListener("abort", onAbort);
      then();
    }
    outgoing.once("drain", onDone).once("close", onDone);
    signal.addEventListener("abort", onAbort);
  });
}

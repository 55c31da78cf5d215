/** Changes of a check that are undone whatever happens. */
import { setTimeout as sleep } from "node:timers/promises";
import { explanationOf, Stopped, type StopSignal } from "../explain.ts";

const TRIES = 5;
const PAUSE_MS = 10_000;
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface Restoration {
  readonly restore: () => Promise<unknown>;
  /** What is to be done by hand if it fails. */
  readonly byHand: string;
  /** Between tries. */
  readonly pauseMs?: number | undefined;
}

/**
 * Runs, then restores: after a failure and after a signal as well.
 * @param run - Changes nothing once its signal aborts.
 * @throws {Stopped} By a signal, also by one that came while it was restored.
 * @throws {Error} It could not be restored; the message says what to do by hand.
 */
export async function restoring<T>(
  run: (signal: AbortSignal) => Promise<T>,
  restoration: Restoration,
): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  // Also where it comes after the run.
  stopped.catch(() => undefined);
  const abort = new AbortController();
  const stop = (signal: StopSignal) => {
    abort.abort(new Stopped(`stopped by ${signal}`, { signal }));
    reject(abort.signal.reason);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  let failure: unknown;
  try {
    try {
      return await Promise.race([stopped, run(abort.signal)]);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      await restored(restoration, () => (abort.signal.aborted ? abort.signal.reason : failure));
      abort.signal.throwIfAborted();
    }
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
}

async function restored(
  { restore, byHand, pauseMs = PAUSE_MS }: Restoration,
  failureOf: () => unknown,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await restore();
      return;
    } catch (cause) {
      if (tries === TRIES) {
        const failure = failureOf();
        const before = failure === undefined ? "" : `; before: ${said(failure)}`;
        const message = `not restored, do it by hand: ${byHand} (${said(cause)}${before})`;
        if (failure instanceof Stopped) throw new Stopped(message, { cause, signal: failure.signal });
        throw new Error(message, { cause });
      }
      await sleep(pauseMs);
    }
  }
}

function said(error: unknown): string {
  return error instanceof Error ? explanationOf(error).text : String(error);
}

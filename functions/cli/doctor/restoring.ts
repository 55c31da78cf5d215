/** Changes of a check that are undone whatever happens. */
import { setTimeout as sleep } from "node:timers/promises";
import { explanationOf } from "../explain.ts";

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
 * @throws {Error} It could not be restored; the message says what to do by hand.
 */
export async function restoring<T>(run: () => Promise<T>, restoration: Restoration): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const stop = (signal: string) => reject(new Error(`stopped by ${signal}`));
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  let failure: unknown;
  try {
    return await Promise.race([stopped, run()]);
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    try {
      await restored(restoration, failure);
    } finally {
      for (const signal of STOP_SIGNALS) process.off(signal, stop);
    }
  }
}

async function restored(
  { restore, byHand, pauseMs = PAUSE_MS }: Restoration,
  failure: unknown,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await restore();
      return;
    } catch (cause) {
      if (tries === TRIES) {
        const before = failure === undefined ? "" : `; before: ${said(failure)}`;
        throw new Error(`not restored, do it by hand: ${byHand} (${said(cause)}${before})`, { cause });
      }
      await sleep(pauseMs);
    }
  }
}

function said(error: unknown): string {
  return error instanceof Error ? explanationOf(error).text : String(error);
}

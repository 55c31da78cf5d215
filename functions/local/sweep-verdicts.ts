/** Removes from the local mirror's store what is known of callers and counts no more. Deployed, the bucket does so itself. */
import { VERDICT_PREFIX } from "../../lib/auth/stored-verdicts.ts";
import { DEFAULT_VERDICT_LIMITS } from "../../lib/auth/verdict-record.ts";
import { errorFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { deleteOlderBlobs } from "../../lib/repo/text-blobs.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { pause } from "./pause.ts";

export interface SweepVerdictsOptions {
  readonly store: BlobStore;
  readonly staleMinutes: number;
  readonly everyMs?: number;
  readonly log: Logger;
  readonly stop: AbortSignal;
}

/** A busy mirror writes one for each caller and repository, and one for each wrong credential. */
const SWEEP_EVERY_MS = 15 * 60_000;

/** Runs until it is stopped. Never rejects: what could not be removed is removed the next time. */
export async function sweepVerdicts(options: SweepVerdictsOptions): Promise<void> {
  const { store, staleMinutes, everyMs = SWEEP_EVERY_MS, log, stop } = options;
  const countsMs = Math.max(staleMinutes * 60_000, DEFAULT_VERDICT_LIMITS.doubtedMs);
  while (!stop.aborted) {
    try {
      await deleteOlderBlobs(store, VERDICT_PREFIX, Date.now() - countsMs);
    } catch (error) {
      log.error("auth:sweep-failed", errorFields(error));
    }
    await pause(everyMs, stop);
  }
}

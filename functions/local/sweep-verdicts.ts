/** Deletes expired verdicts from a local mirror's store. In a deployment a lifecycle rule of the bucket does. */
import { RECENTLY_ACCEPTED_MS } from "../../lib/auth/caller-standings.ts";
import { VERDICT_PREFIX } from "../../lib/auth/stored-verdicts.ts";
import { errorFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { deleteOlderBlobs } from "../../lib/repo/text-blobs.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { delay } from "./delay.ts";

/** A busy mirror writes one for each caller and repository, and for each wrong credential. */
const SWEEP_EVERY_MS = 15 * 60_000;

/** Runs until `stop` aborts. Never rejects: a failed deletion is repeated in the next round. */
export async function sweepVerdicts(
  store: BlobStore,
  { staleMinutes, log, stop }: { staleMinutes: number; log: Logger; stop: AbortSignal },
  everyMs = SWEEP_EVERY_MS,
): Promise<void> {
  const countsMs = Math.max(staleMinutes * 60_000, RECENTLY_ACCEPTED_MS);
  while (!stop.aborted) {
    try {
      await deleteOlderBlobs(store, VERDICT_PREFIX, Date.now() - countsMs);
    } catch (error) {
      log.error("auth:sweep-failed", errorFields(error));
    }
    await delay(everyMs, stop);
  }
}

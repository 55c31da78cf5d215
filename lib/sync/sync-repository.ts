/**
 * Brings one repository up to date with the primary:
 * 1. Open the last generation (`fetch-base.ts`).
 * 2. List the primary's refs and fetch what is missing (`fetch-generation.ts`). Nothing new ends the sync here.
 * 3. Confirm that what was fetched is this repository's.
 * 4. Publish it (`publish-fetched.ts`).
 * A sync that loses the race for the manifest starts again. One that finds the store damaged starts again once, over nothing.
 */
import {
  assertNotStopped,
  DamagedRepositoryError,
  errorFields,
  StoppedError,
  VersionConflictError,
} from "../errors.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { openDamagedGeneration, openGeneration, type StoredGeneration } from "./fetch-base.ts";
import { fetchGeneration, type UnchangedOutcome } from "./fetch-generation.ts";
import { forgetImport } from "./import-history.ts";
import { confirmFetched, type PublishedOutcome, publishFetched } from "./publish-fetched.ts";
import {
  type ContextOptions,
  DEFAULT_SYNC_LIMITS,
  type SyncContext,
  type SyncLimits,
  type SyncRequest,
  syncContext,
} from "./sync-context.ts";

export interface SyncOptions extends ContextOptions, Omit<SyncRequest, "uuid" | "limits"> {
  readonly limits?: SyncLimits;
}

export type SyncOutcome = UnchangedOutcome | PublishedOutcome;

/** A writer that loses the race four times in a row has another problem. */
const MAX_TRIES = 4;

/**
 * @throws {UpstreamError} @throws {NotFoundError} The primary failed or refused.
 * @throws {CorruptPackError} @throws {LimitExceededError} What it sent is damaged or too large. The last generation stays served.
 * @throws {StoppedError} By the signal; {@link UnfinishedError} if a large first sync has stored more slices.
 * @throws What `confirm` throws.
 * Damage in the store is repaired: with a generation of one new pack, or with a new history sidecar.
 */
export async function syncRepository(uuid: RepositoryUuid, options: SyncOptions): Promise<SyncOutcome> {
  const request = { ...options, uuid, limits: options.limits ?? DEFAULT_SYNC_LIMITS };
  const context = syncContext(options);
  const { log, storage, signal } = context;
  let open = openGeneration;
  for (let tries = 1; ; tries++) {
    let stored: StoredGeneration | undefined;
    try {
      stored = await open(storage, uuid);
      return await syncOnce(stored, request, context);
    } catch (error) {
      if (error instanceof StoppedError) throw error;
      // After an abort, later errors are its consequence.
      assertNotStopped(signal);
      const isDamaged = error instanceof DamagedRepositoryError;
      // All that was read is what an import has stored: the next try would fail with it again.
      if (isDamaged && stored !== undefined && stored.repository === undefined)
        await forgetImport(uuid, context);
      if (isDamaged && open === openGeneration) {
        log.error("sync:store-damaged", { uuid, ...errorFields(error) }, { DamagedBlobs: 1 });
        open = openDamagedGeneration;
      } else if (error instanceof VersionConflictError && tries < MAX_TRIES) {
        log.info("sync:race-lost", { uuid, tries });
      } else throw error;
    }
  }
}

async function syncOnce(
  stored: StoredGeneration,
  request: SyncRequest,
  context: SyncContext,
): Promise<SyncOutcome> {
  const fetched = await fetchGeneration(stored, request, context);
  if (fetched.kind === "unchanged") return fetched;
  await confirmFetched(fetched, request, context);
  return publishFetched(fetched, request, context);
}

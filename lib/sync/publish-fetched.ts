/** The last phase of a sync: publishes what was fetched, and deletes it if it is certain that nothing will name it. */
import { afterCleanUp, assertNotStopped, ProtocolError, VersionConflictError } from "../errors.ts";
import { repositoryKeys } from "../repo/layout.ts";
import { deletePack } from "../repo/pack-blobs.ts";
import { publish, writeRefsForCopies } from "../repo/publish.ts";
import { formatRefSnapshot } from "../repo/refs.ts";
import { openIfThere } from "./fetch-base.ts";
import type { FetchedGeneration } from "./fetch-generation.ts";
import { forgetImport } from "./import-history.ts";
import type { RefChange } from "./ref-changes.ts";
import type { SyncContext, SyncRequest } from "./sync-context.ts";

export interface PublishedOutcome {
  readonly kind: "published";
  readonly generation: number;
  /** Of the snapshot of its refs. */
  readonly refsSha256: string;
  /** Of the refs that `changes` are counted from; absent where there were none. */
  readonly refsSha256Before?: string;
  readonly changes: readonly RefChange[];
  readonly receivedBytes: number;
  readonly objects: number;
  /** Of the primary, where it speaks protocol 2. */
  readonly capabilities?: readonly string[] | undefined;
}

/** @throws {VersionConflictError} Another writer has published since. */
export async function publishFetched(
  fetched: FetchedGeneration,
  request: SyncRequest,
  context: SyncContext,
): Promise<PublishedOutcome> {
  const { upstreamRefs, packs, mayHoldUnreachable, listedAt, received, changes, repository } = fetched;
  const { uuid } = request;
  const { storage, now } = context;
  try {
    const { value: manifest } = await publish(storage.store, uuid, fetched.previous, {
      ...{ head: upstreamRefs.head, refs: upstreamRefs.refs, symrefs: upstreamRefs.symrefs },
      ...{ packs, mayHoldUnreachable },
      publishedAt: now(),
      verifiedAt: listedAt,
    });
    if (fetched.hasImportNotes) await forgetImport(uuid, context);
    return {
      kind: "published",
      generation: manifest.generation,
      refsSha256: manifest.refs.sha256,
      ...(repository !== undefined && { refsSha256Before: repository.manifest.refs.sha256 }),
      changes,
      receivedBytes: received?.packBytes ?? 0,
      objects: received?.sentObjectCount ?? 0,
      capabilities: upstreamRefs.capabilities,
    };
  } catch (error) {
    throw await afterCleanUp(error, () => undoPublish(error, fetched, request, context));
  }
}

/** Asks for confirmation, which ends the sync by throwing. */
export async function confirmFetched(
  fetched: FetchedGeneration,
  request: SyncRequest,
  context: SyncContext,
): Promise<void> {
  try {
    context.onProgress({ phase: "publishing" });
    await request.confirm?.(fetched.continues);
    assertNotStopped(context.signal);
  } catch (error) {
    throw await afterCleanUp(error, () => deleteReceived(fetched, request, context));
  }
}

/**
 * Deletes the received pack if no manifest names it, nor ever will. After a lost race the manifest is read: a conditional
 * write that the store's client repeats, because its answer was lost, conflicts with itself, and may still be under way.
 * While the version that it replaces stands, it may yet land.
 */
async function undoPublish(
  error: unknown,
  fetched: FetchedGeneration,
  request: SyncRequest,
  context: SyncContext,
): Promise<void> {
  const { previous, received } = fetched;
  const { storage } = context;
  if (error instanceof VersionConflictError) {
    const current = await openIfThere(storage, request.uuid);
    if (current === undefined || current.version === previous.version) return;
    if (current.manifest.packs.some(({ id }) => id === received?.id)) return;
    const { head, refs } = await current.readRefs();
    await writeRefsForCopies(storage.store, request.uuid, head, formatRefSnapshot(refs));
  } else if (!(error instanceof ProtocolError)) {
    // A name that git refuses fails before the manifest is written. Any other failure leaves open whether it was.
    return;
  }
  await deleteReceived(fetched, request, context);
}

async function deleteReceived(
  { received }: FetchedGeneration,
  { uuid }: SyncRequest,
  { storage }: SyncContext,
): Promise<void> {
  if (received !== undefined) await deletePack(storage.store, repositoryKeys(uuid), received.id);
}

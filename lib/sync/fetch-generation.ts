/**
 * The first phase of a sync: finds what has changed and fetches it. Publishes nothing.
 * 1. List the primary's refs and compare them with the stored ones. No change: at most the time of verification is written.
 * 2. Choose the fetch base: the last generation with its history sidecars repaired, or a sliced import, or nothing.
 * 3. Fetch what the base lacks as one pack, thin over the base.
 * 4. Find out whether the new refs still reach all that the old ones did.
 */
import type { UpstreamRefs } from "../bitbucket/upstream-git.ts";
import { afterCleanUp } from "../errors.ts";
import type { RefList } from "../git/ports.ts";
import { repositoryKeys } from "../repo/layout.ts";
import type { ManifestPack } from "../repo/manifest.ts";
import { deletePack } from "../repo/pack-blobs.ts";
import { checkPacks } from "../repo/pack-bodies.ts";
import { writeManifest, writeRefsForCopies } from "../repo/publish.ts";
import { formatRefSnapshot } from "../repo/refs.ts";
import type { Repository } from "../repo/repository.ts";
import { EMPTY_BASE, type FetchBase, type StoredGeneration } from "./fetch-base.ts";
import { importHistory, type LargeNote, noteIfLarge } from "./import-history.ts";
import { rebuildHistories } from "./rebuild-history.ts";
import { receiveObjects } from "./receive-objects.ts";
import {
  chooseHaves,
  compareRefs,
  hasSameSymrefs,
  isNonFastForward,
  type RefChange,
  tipsOf,
} from "./ref-changes.ts";
import type { SyncContext, SyncRequest } from "./sync-context.ts";

export interface UnchangedOutcome {
  readonly kind: "unchanged";
  readonly generation: number;
  /** Of the snapshot of its refs. */
  readonly refsSha256: string;
  /** Of the primary, where it speaks protocol 2. */
  readonly capabilities?: readonly string[] | undefined;
}

export interface FetchedGeneration extends StoredGeneration {
  readonly kind: "fetched";
  readonly upstreamRefs: UpstreamRefs;
  /** Against the refs of `repository`. */
  readonly changes: readonly RefChange[];
  /** When the refs were listed, at the latest. */
  readonly listedAt: Date;
  /** Of the new generation, oldest first. */
  readonly packs: readonly ManifestPack[];
  /** The one of `packs` that this sync has written; absent where nothing was missing. */
  readonly received: ManifestPack | undefined;
  /** Whether the base holds a history, and the new refs reach all of it. */
  readonly continues: boolean;
  /** Whether the packs may hold objects that no ref reaches. */
  readonly mayHoldUnreachable: boolean;
  /** Whether the store has notes of an import, which the publish makes obsolete. */
  readonly hasImportNotes: boolean;
}

interface ChangedRefs {
  readonly refsBefore: RefList;
  readonly upstreamRefs: UpstreamRefs;
  readonly changes: readonly RefChange[];
}

const NO_REFS: RefList = { head: { ref: "" }, refs: [] };

export async function fetchGeneration(
  stored: StoredGeneration,
  request: SyncRequest,
  context: SyncContext,
): Promise<UnchangedOutcome | FetchedGeneration> {
  const { repository: before } = stored;
  context.onProgress({ phase: "listing" });
  const listedAt = context.now();
  const [upstreamRefs, refsBefore] = await Promise.all([
    request.upstream.listRefs(request.capabilities),
    before?.readRefs() ?? NO_REFS,
  ]);
  const changes = compareRefs(refsBefore, upstreamRefs);
  const hasChanged = changes.length > 0 || !hasSameSymrefs(refsBefore, upstreamRefs);
  if (request.checkStore) {
    await before?.openObjects();
    if (before !== undefined) await checkPacks(before, context.storage.store);
  }
  if (before !== undefined && !hasChanged && before.damagedHistories.length === 0)
    return {
      ...(await verified(before, refsBefore, listedAt, request, context)),
      capabilities: upstreamRefs.capabilities,
    };
  const refs = { refsBefore, upstreamRefs, changes };
  return {
    ...stored,
    upstreamRefs,
    changes,
    listedAt,
    ...(await fetchChanges(before, refs, request, context)),
  };
}

/** @param refs - Of `before`, and the primary's: they are the same. */
async function verified(
  before: Repository,
  refs: RefList,
  listedAt: Date,
  { uuid, limits, notesVerified }: SyncRequest,
  { storage: { store } }: SyncContext,
): Promise<UnchangedOutcome> {
  const { generation, refs: published, verifiedAt } = before.manifest;
  if (notesVerified || listedAt.getTime() - Date.parse(verifiedAt) >= limits.verifiedStaleMs) {
    const manifest = { ...before.manifest, verifiedAt: listedAt.toISOString() };
    await writeManifest(store, uuid, manifest, before.stored);
    // A sync that lost the race and was killed has left its own refs there.
    await writeRefsForCopies(store, uuid, refs.head, formatRefSnapshot(refs.refs));
  }
  return { kind: "unchanged", generation, refsSha256: published.sha256 };
}

type FetchedPacks = Omit<FetchedGeneration, keyof StoredGeneration | "upstreamRefs" | "changes" | "listedAt">;

async function fetchChanges(
  before: Repository | undefined,
  refs: ChangedRefs,
  request: SyncRequest,
  context: SyncContext,
): Promise<FetchedPacks> {
  const { base, large, isImport } = await chooseBase(before, refs, request, context);
  const { upstreamRefs } = refs;
  const received = await receiveObjects(
    { ...request, known: base.objects, haves: base.haves, upstreamRefs, onBytes: large?.onBytes },
    context,
  );
  try {
    const objects = received?.objects ?? base.objects;
    const isRewound =
      objects !== undefined && (await isNonFastForward(objects, base.tips, tipsOf(upstreamRefs)));
    return {
      kind: "fetched",
      packs: [...base.packs, ...(received === undefined ? [] : [received.pack])],
      received: received?.pack,
      // What builds on nothing continues nothing.
      continues: base.tips.size > 0 && !isRewound,
      mayHoldUnreachable: isRewound || before?.mayHoldUnreachable === true,
      hasImportNotes: isImport || (await large?.settled()) === true,
    };
  } catch (error) {
    if (received === undefined) throw error;
    const keys = repositoryKeys(request.uuid);
    throw await afterCleanUp(error, () => deletePack(context.storage.store, keys, received.pack.id));
  }
}

interface ChosenBase {
  readonly base: FetchBase;
  /** Whether the base is that of a sliced import. */
  readonly isImport?: boolean;
  /** Of a first fetch that is not sliced. */
  readonly large?: LargeNote;
}

async function chooseBase(
  before: Repository | undefined,
  { refsBefore, upstreamRefs, changes }: ChangedRefs,
  request: SyncRequest,
  context: SyncContext,
): Promise<ChosenBase> {
  if (before !== undefined) {
    const objects = await before.openObjects();
    const packs = await rebuildHistories(before, context);
    const haves = chooseHaves(refsBefore, changes);
    return { base: { packs, objects, tips: tipsOf(refsBefore), haves } };
  }
  const imported = await importHistory(request, upstreamRefs, context);
  if (imported !== undefined) return { base: imported, isImport: true };
  return { base: EMPTY_BASE, large: noteIfLarge(request, context) };
}

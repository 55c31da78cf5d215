/**
 * Makes a new generation visible: everything that the manifest names first, the manifest last. By `writeManifest` alone a compaction makes
 * one with other packs, and a sync notes when refs were verified.
 */
import { randomBytes } from "node:crypto";
import { insteadOf, NotFoundError } from "../errors.ts";
import { bytesOfText } from "../git/byte-text.ts";
import type { Head, RefList } from "../git/ports.ts";
import type { BlobStore, BlobVersion } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { type Manifest, type ManifestPack, manifestDocument, type StoredManifest } from "./manifest.ts";
import { formatRefSnapshot, type RefSnapshot } from "./refs.ts";
import type { Stored } from "./stored-document.ts";

/** Its refs and symbolic refs are in any order. */
export interface NextGeneration extends Pick<RefList, "head" | "refs" | "symrefs"> {
  /** Oldest first; their blobs are in the store. */
  readonly packs: readonly ManifestPack[];
  readonly mayHoldUnreachable: boolean;
  readonly publishedAt: Date;
  readonly verifiedAt: Date;
}

/** What a new generation is published over: absent for a repository's first one, or damaged. */
export type PreviousManifest = Stored<Manifest>;

/**
 * @param previous - What the new generation was made from.
 * @throws {VersionConflictError} Another writer has published since. Read again, then decide.
 * @throws {ProtocolError} A ref has a name that git would not accept.
 */
export async function publish(
  store: BlobStore,
  uuid: RepositoryUuid,
  previous: PreviousManifest,
  next: NextGeneration,
): Promise<StoredManifest> {
  const keys = repositoryKeys(uuid);
  const snapshot = formatRefSnapshot(next.refs);
  const snapshotId = randomBytes(20).toString("hex");
  const hasSameHead =
    branchOf(next.head) !== undefined && branchOf(next.head) === branchOf(previous.value?.head);
  const [packedRefsVersion] = await Promise.all([
    store.write(keys.packedRefs, snapshot.bytes),
    hasSameHead ? undefined : writeHeadForCopies(store, uuid, next.head),
    store.write(keys.refSnapshot(snapshotId), snapshot.bytes),
  ]);
  // Of a damaged manifest the generation is not known any more.
  const { generation, unreachableDroppedAt } = previous.value ?? {
    generation: 0,
    unreachableDroppedAt: undefined,
  };
  const { sha256, refCount, bytes } = snapshot;
  const manifest: Manifest = {
    generation: generation + 1,
    head: "ref" in next.head ? next.head : { commitId: next.head.peeledId ?? next.head.id },
    refs: {
      ...{ snapshotId, sha256, refCount, snapshotBytes: bytes.length },
      ...("ref" in next.head || next.head.peeledId === undefined ? {} : { headTagId: next.head.id }),
      ...(next.symrefs !== undefined &&
        next.symrefs.length > 0 && { symrefs: next.symrefs.toSorted((a, b) => (a.name < b.name ? -1 : 1)) }),
    },
    packs: [...next.packs],
    mayHoldUnreachable: next.mayHoldUnreachable,
    ...(unreachableDroppedAt !== undefined && { unreachableDroppedAt }),
    publishedAt: next.publishedAt.toISOString(),
    verifiedAt: next.verifiedAt.toISOString(),
  };
  const published = await writeManifest(store, uuid, manifest, previous);
  // Who lost this race may have put its own refs there, as late as just now.
  const [isPackedRefs, isHead] = await Promise.all([
    isStill(store, keys.packedRefs, packedRefsVersion),
    holds(store, keys.head, headText(next.head)),
  ]);
  if (!isPackedRefs || !isHead) await writeRefsForCopies(store, uuid, next.head, snapshot);
  return published;
}

/**
 * Writes what makes a copy of the prefix a repository. `publish` does so before the manifest is replaced, so a writer that
 * loses that race writes it again, as the manifest has it: its own refs may lead into a pack that is deleted.
 */
export async function writeRefsForCopies(
  store: BlobStore,
  uuid: RepositoryUuid,
  head: Head,
  snapshot: RefSnapshot,
): Promise<void> {
  await Promise.all([
    store.write(repositoryKeys(uuid).packedRefs, snapshot.bytes),
    writeHeadForCopies(store, uuid, head),
  ]);
}

/** And the mark beside it: both rarely change. */
async function writeHeadForCopies(store: BlobStore, uuid: RepositoryUuid, head: Head): Promise<void> {
  const keys = repositoryKeys(uuid);
  await Promise.all([
    store.write(keys.head, bytesOfText(headText(head))),
    store.write(keys.refsFolderMark, new Uint8Array(0)),
  ]);
}

/** The file `HEAD` of a copy. At a tag it names the commit: git rejects a repository whose HEAD is no commit. */
export function headText(head: Head): string {
  return "ref" in head ? `ref: ${head.ref}\n` : `${head.peeledId ?? head.id}\n`;
}

/** @returns `undefined` for a HEAD that is no branch. */
function branchOf(head: Head | Manifest["head"] | undefined): string | undefined {
  return head !== undefined && "ref" in head ? head.ref : undefined;
}

async function isStill(store: BlobStore, key: string, version: BlobVersion): Promise<boolean> {
  const blob = await store.readIfChanged(key, version).catch(insteadOf(NotFoundError, undefined));
  return blob === "unchanged";
}

async function holds(store: BlobStore, key: string, text: string): Promise<boolean> {
  const blob = await store.read(key).catch(insteadOf(NotFoundError, undefined));
  return blob !== undefined && Buffer.compare(blob.bytes, bytesOfText(text)) === 0;
}

/**
 * Replaces the manifest. The refs stay, or their snapshot is in the store; packs hold all reachable objects, and their blobs are there.
 * @throws {VersionConflictError} Another writer has published since.
 */
export async function writeManifest(
  store: BlobStore,
  uuid: RepositoryUuid,
  manifest: Manifest,
  over: PreviousManifest,
): Promise<StoredManifest> {
  return { ...(await manifestDocument(store, uuid).write(manifest, over)), value: manifest };
}

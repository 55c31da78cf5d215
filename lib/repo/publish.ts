/** Makes a new generation visible: everything that the manifest names first, the manifest last. */
import { bytesOfText } from "../git/byte-text.ts";
import type { Head, Ref } from "../git/ports.ts";
import type { BlobStore, BlobVersion } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { formatManifest, type Manifest, type ManifestPack } from "./manifest.ts";
import { formatRefSnapshot, type RefSnapshot } from "./refs.ts";

export interface NextGeneration {
  readonly head: Head;
  /** In any order. */
  readonly refs: readonly Ref[];
  /** Oldest first; their blobs are in the store. */
  readonly packs: readonly ManifestPack[];
  readonly mayHoldUnreachable: boolean;
  readonly publishedAt: Date;
  readonly verifiedAt: Date;
}

/** What a new generation is published over. */
export interface PreviousManifest {
  readonly manifest: Pick<Manifest, "generation">;
  readonly version: BlobVersion;
}

export interface PublishedManifest {
  readonly manifest: Manifest;
  readonly version: BlobVersion;
}

/**
 * @param previous - What the new generation was made from; `"absent"` for a repository's first one.
 * @throws {VersionConflictError} Another writer has published since. Read again, then decide.
 * @throws {ProtocolError} A ref has a name that git would not accept.
 */
export async function publish(
  store: BlobStore,
  uuid: RepositoryUuid,
  previous: PreviousManifest | "absent",
  next: NextGeneration,
): Promise<PublishedManifest> {
  const keys = repositoryKeys(uuid);
  const snapshot = formatRefSnapshot(next.refs);
  await Promise.all([
    store.write(keys.refSnapshot(snapshot.sha256), snapshot.bytes),
    writeRefsForCopies(store, uuid, next.head, snapshot),
  ]);
  const manifest: Manifest = {
    formatVersion: 1,
    generation: previous === "absent" ? 1 : previous.manifest.generation + 1,
    head: next.head,
    refs: { sha256: snapshot.sha256, refCount: snapshot.refCount, snapshotBytes: snapshot.bytes.length },
    packs: [...next.packs],
    mayHoldUnreachable: next.mayHoldUnreachable,
    publishedAt: next.publishedAt.toISOString(),
    verifiedAt: next.verifiedAt.toISOString(),
  };
  return writeManifest(store, uuid, manifest, previous === "absent" ? previous : previous.version);
}

/**
 * Writes what makes a copy of the prefix a repository. `publish` does so before the manifest is replaced, so whoever loses
 * that race writes it again, as the manifest has it: its own refs may lead into a pack that goes.
 */
export async function writeRefsForCopies(
  store: BlobStore,
  uuid: RepositoryUuid,
  head: Head,
  snapshot: RefSnapshot,
): Promise<void> {
  const keys = repositoryKeys(uuid);
  const headText = "ref" in head ? `ref: ${head.ref}\n` : `${head.commitId}\n`;
  await Promise.all([
    store.write(keys.packedRefs, snapshot.bytes),
    store.write(keys.head, bytesOfText(headText)),
    store.write(keys.refsFolderMark, new Uint8Array(0)),
  ]);
}

/**
 * Notes that the refs were found unchanged on the primary: the same generation, verified later.
 * @throws {VersionConflictError} Another writer has published since.
 */
export async function publishVerified(
  store: BlobStore,
  uuid: RepositoryUuid,
  { manifest, version }: PublishedManifest,
  verifiedAt: Date,
): Promise<PublishedManifest> {
  return writeManifest(store, uuid, { ...manifest, verifiedAt: verifiedAt.toISOString() }, version);
}

async function writeManifest(
  store: BlobStore,
  uuid: RepositoryUuid,
  manifest: Manifest,
  ifVersion: BlobVersion | "absent",
): Promise<PublishedManifest> {
  const version = await store.write(repositoryKeys(uuid).manifest, formatManifest(manifest), { ifVersion });
  return { manifest, version };
}

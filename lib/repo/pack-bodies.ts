/** The packs of a generation as they are sent whole. */
import { CorruptPackError } from "../errors.ts";
import { decodePackHeader, PACK_HEADER_BYTES } from "../git/pack/pack-format.ts";
import type { PackBody, PackDownload } from "../git/ports.ts";
import type { BlobStore, ReadOptions } from "../store/blob-store.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import type { Manifest, ManifestPack } from "./manifest.ts";
import { asRepositoryDamage, streamAsRepositoryDamage } from "./repository-damage.ts";

/** git starts two processes and a connection for each pack, one after the other: a smaller one is sent in less time. */
const DEFAULT_MIN_DOWNLOAD_BYTES = 4 * 1024 * 1024;

export interface PackStorage {
  readonly store: BlobStore;
  readonly urls?: BlobUrls;
  readonly minDownloadBytes?: number;
  /** Where the client reaches this server; see {@link BlobUrls}. */
  readonly serverUrl?: string | undefined;
}

/** In the order of `packs`. Streams end when the signal aborts. */
export function packBodies(
  storage: PackStorage,
  keys: RepositoryKeys,
  packs: readonly ManifestPack[],
  options: ReadOptions,
): PackBody[] {
  return packs.map((pack) => ({
    id: pack.id,
    packBytes: pack.packBytes,
    sentObjectCount: pack.sentObjectCount,
    sentEndBytes: pack.sentEndBytes,
    hasRepeats: pack.repeatedObjectCount > 0,
    stream: (offsetBytes, lengthBytes) =>
      streamAsRepositoryDamage(
        storage.store.readStream(keys.pack(pack.id), offsetBytes, lengthBytes, options),
      ),
    download: downloadOf(storage, keys, pack),
  }));
}

function downloadOf(
  { urls, minDownloadBytes = DEFAULT_MIN_DOWNLOAD_BYTES, serverUrl }: PackStorage,
  keys: RepositoryKeys,
  { id, packBytes, checksum }: ManifestPack,
): PackDownload | undefined {
  if (urls === undefined || checksum === undefined || packBytes < minDownloadBytes) return undefined;
  return {
    checksum,
    protocol: urls.protocolOf(serverUrl),
    url: () => urls.urlOf(keys.pack(id), packBytes, serverUrl),
  };
}

/**
 * Looks at what else a manifest names beside indexes: that the packs are there, whole in length, and begin as packs do.
 * @throws {DamagedRepositoryError} They are not.
 */
export async function checkPacks(
  { uuid, manifest }: { readonly uuid: RepositoryUuid; readonly manifest: Manifest },
  store: BlobStore,
): Promise<void> {
  const keys = repositoryKeys(uuid);
  const check = async ({ id, packBytes, objectCount }: ManifestPack) => {
    const [header, end] = await Promise.all([
      store.readRange(keys.pack(id), 0, PACK_HEADER_BYTES),
      store.readUpTo(keys.pack(id), packBytes - 1, 2),
    ]);
    if (decodePackHeader(header).objectCount !== objectCount || end.length !== 1)
      throw new CorruptPackError("pack is not the one that the manifest names", { packId: id });
  };
  await asRepositoryDamage(() => Promise.all(manifest.packs.map(check)));
}

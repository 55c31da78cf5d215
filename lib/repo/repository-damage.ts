/** What a manifest names must be there and whole: where it is not, the store is damaged. */
import { CorruptPackError, DamagedRepositoryError, NotFoundError, StoredDocumentError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryUuid } from "./layout.ts";
import { readManifest, type StoredManifest } from "./manifest.ts";

/**
 * @param read - Reads blobs that a manifest names.
 * @throws {DamagedRepositoryError} One is missing, cut off or broken. And whatever else `read` throws.
 */
export async function asRepositoryDamage<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    throw asDamage(error);
  }
}

/** As `asRepositoryDamage`, for chunks. */
export async function* streamAsRepositoryDamage(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* chunks;
  } catch (error) {
    throw asDamage(error);
  }
}

/** As `readManifest`. @throws {DamagedRepositoryError} The manifest itself is damaged. */
export async function readServedManifest(
  store: BlobStore,
  uuid: RepositoryUuid,
  known?: StoredManifest,
): Promise<StoredManifest> {
  try {
    return await readManifest(store, uuid, known);
  } catch (error) {
    if (!(error instanceof StoredDocumentError)) throw error;
    throw new DamagedRepositoryError(error.message, { ...error.context, cause: error });
  }
}

function asDamage(error: unknown): unknown {
  if (error instanceof DamagedRepositoryError) return error;
  if (error instanceof NotFoundError) {
    return new DamagedRepositoryError("manifest names a blob that is missing", { cause: error });
  }
  // What stores throw for a range outside the blob.
  if (error instanceof RangeError) {
    return new DamagedRepositoryError("manifest names a blob that is shorter than it says", { cause: error });
  }
  if (error instanceof CorruptPackError) {
    return new DamagedRepositoryError(error.message, { ...error.context, cause: error });
  }
  return error;
}

/**
 * The bundles of a repository, each the history of its main branch up to some commit: their keys and what they hold.
 * They are kept answers: the list and the bundles may be deleted at any time, the list first.
 */
import * as z from "zod/mini";
import { NotFoundError } from "../errors.ts";
import { parseObjectId } from "../git/object-id.ts";
import type { OfferedBundle, UploadPackSource } from "../git/ports.ts";
import { areReached } from "../git/walk/reachable.ts";
import type { BlobStore, WholeBlobs } from "../store/blob-store.ts";
import type { BlobUrls } from "../store/blob-urls.ts";
import { type RepositoryKeys, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { type DocumentForm, StoredDocument } from "./stored-document.ts";

const count = z.int().check(z.nonnegative());
const hex40 = z.string().check(z.regex(/^[0-9a-f]{40}$/));

const bundleSchema = z.object({
  id: hex40,
  bundleBytes: count,
  /** Grows from one bundle to the next. Seconds, so that it does so also when the list was lost meanwhile. */
  creationToken: count,
  /** The commit up to which it holds the history, from the one of the bundle before. */
  tip: hex40,
  /** Entries in all packs at that time: a measure of what is new since. */
  packedObjectCount: count,
});

const listSchema = z.object({
  /** Oldest first: each needs those before it. */
  bundles: z.array(bundleSchema).check(z.maxLength(100)),
});

export type StoredBundle = z.infer<typeof bundleSchema>;
export type BundleList = z.infer<typeof listSchema>;

/** A damaged list counts as empty: it is made anew. */
const FORM: DocumentForm<BundleList> = { schema: listSchema, whenDamaged: "absent", checksum: "written" };

export function bundleList(store: WholeBlobs, keys: RepositoryKeys): StoredDocument<BundleList> {
  return new StoredDocument(store, keys.bundleList, FORM);
}

type BundledRepository = Pick<UploadPackSource, "openObjects" | "readRefs" | "mayHoldUnreachable"> & {
  readonly uuid: RepositoryUuid;
};

/**
 * Two rounds: objects are needed to check that the refs still reach what a bundle holds.
 * @param serverUrl - See {@link BlobUrls}.
 */
export async function offeredBundles(
  repository: BundledRepository,
  store: BlobStore,
  urls: BlobUrls,
  serverUrl: string | undefined,
): Promise<OfferedBundle[]> {
  const keys = repositoryKeys(repository.uuid);
  const { bundles } = (await bundleList(store, keys).read()).value ?? { bundles: [] };
  if (!(await areBundlesCurrent(repository, store, bundles))) return [];
  return Promise.all(
    bundles.map(async ({ id, creationToken, bundleBytes }) => {
      return { id, creationToken, url: await urls.urlOf(keys.bundle(id), bundleBytes, serverUrl) };
    }),
  );
}

/** @returns Whether all of them are there, and hold only what the refs reach. */
export async function areBundlesCurrent(
  repository: BundledRepository,
  store: BlobStore,
  bundles: readonly StoredBundle[],
): Promise<boolean> {
  if (bundles.length === 0) return true;
  const keys = repositoryKeys(repository.uuid);
  const tips = bundles.map(({ tip }) => parseObjectId(tip));
  const [objects, refList, areThere] = await Promise.all([
    repository.openObjects(),
    repository.readRefs(),
    Promise.all(bundles.map((bundle) => isBundleThere(store, keys, bundle))),
  ]);
  return !areThere.includes(false) && areReached(objects, refList, tips, repository.mayHoldUnreachable);
}

/** @returns Whether the bundle is there, and as long as it was. */
async function isBundleThere(
  store: BlobStore,
  keys: RepositoryKeys,
  { id, bundleBytes }: StoredBundle,
): Promise<boolean> {
  try {
    return (await store.readUpTo(keys.bundle(id), bundleBytes - 1, 2)).length === 1;
  } catch (error) {
    // RangeError: it is shorter.
    if (error instanceof NotFoundError || error instanceof RangeError) return false;
    throw error;
  }
}

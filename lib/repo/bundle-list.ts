/**
 * The bundles of a repository, each the history of its main branch up to some commit: their keys and what they hold.
 * They are kept answers: the list and the bundles may be deleted at any time, the list first.
 */
import * as z from "zod";
import { NotFoundError } from "../errors.ts";
import type { BlobStore, BlobVersion } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";

const count = z.number().int().nonnegative();
const hex40 = z.string().regex(/^[0-9a-f]{40}$/);

const bundleSchema = z.strictObject({
  id: hex40,
  bundleBytes: count,
  /** Grows from one bundle to the next. Seconds, so that it does so also when the list was lost meanwhile. */
  creationToken: count,
  /** The commit up to which it holds the history, from the one of the bundle before. */
  tip: hex40,
  /** Entries in all packs at that time: a measure of what is new since. */
  packedObjectCount: count,
});

const listSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** Oldest first: each needs those before it. */
  bundles: z.array(bundleSchema).max(100),
});

export type StoredBundle = z.infer<typeof bundleSchema>;

export interface StoredBundleList {
  readonly bundles: readonly StoredBundle[];
  /** To write over. */
  readonly version: BlobVersion | "absent";
}

/** A list that this release does not understand counts as empty: it is made anew. */
export async function readBundleList(store: BlobStore, keys: RepositoryKeys): Promise<StoredBundleList> {
  try {
    const { bytes, version } = await store.read(keys.bundleList);
    return { bundles: parseBundleList(bytes), version };
  } catch (error) {
    if (error instanceof NotFoundError) return { bundles: [], version: "absent" };
    throw error;
  }
}

function parseBundleList(bytes: Uint8Array): StoredBundle[] {
  try {
    return listSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).bundles;
  } catch {
    return []; // SyntaxError, ZodError
  }
}

/** @throws {VersionConflictError} Another writer was first. */
export async function writeBundleList(
  store: BlobStore,
  keys: RepositoryKeys,
  bundles: readonly StoredBundle[],
  ifVersion: BlobVersion | "absent",
): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify({ formatVersion: 1, bundles })}\n`);
  await store.write(keys.bundleList, bytes, { ifVersion });
}

/** @returns Whether the bundle is there, and as long as it was. */
export async function isBundleThere(
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

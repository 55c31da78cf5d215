/**
 * What a partial clone leaves out, as the walk asks for it. What is wanted by name is sent whatever the filter says.
 * Source: git-rev-list(1), "--filter".
 */
import type { ObjectType } from "../pack/pack-format.ts";
import type { SparsePatterns } from "./sparse-patterns.ts";

/** All of it must hold for an object to be sent. */
export interface ObjectFilter {
  /** Types that are sent. */
  readonly types: ReadonlySet<ObjectType>;
  /** Trees and blobs this deep are left out; a commit's tree has depth 0. */
  readonly maxDepth: number;
  /** Blobs of this size or larger are left out. */
  readonly maxBlobBytes: number;
  /** Blobs that are not matched by each of these are left out. */
  readonly sparse: readonly SparsePatterns[];
}

export const ALL_TYPES: ReadonlySet<ObjectType> = new Set(["commit", "tree", "blob", "tag"]);

/** Whether nothing but commits and tags can pass. */
export function leavesOutAllTrees({ types, maxDepth, maxBlobBytes }: ObjectFilter): boolean {
  const sendsTrees = types.has("tree");
  const sendsBlobs = types.has("blob") && maxBlobBytes > 0;
  return maxDepth === 0 || !(sendsTrees || sendsBlobs);
}

/** Whether a client with this filter has every tree of its commits. */
export function keepsAllTrees({ types, maxDepth }: ObjectFilter): boolean {
  return types.has("tree") && maxDepth === Number.POSITIVE_INFINITY;
}

/** Whether an object passes or not by its type and size alone, at any depth and path. */
export function goesByTypeAndSize({ maxDepth, sparse }: ObjectFilter): boolean {
  return sparse.length === 0 && (maxDepth === 0 || maxDepth === Number.POSITIVE_INFINITY);
}

/** For a filter that goes by type and size. */
export function passesFilter(
  { types, maxDepth, maxBlobBytes }: ObjectFilter,
  type: ObjectType,
  sizeBytes: number,
): boolean {
  if (!types.has(type) || (maxDepth === 0 && (type === "tree" || type === "blob"))) return false;
  return type !== "blob" || sizeBytes < maxBlobBytes;
}

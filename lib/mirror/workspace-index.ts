/**
 * What reconcile knows of a workspace's repositories: `workspaces/<workspace>.json`. One document for all, so that a run over
 * thousands of repositories reads and writes it once.
 */
import * as z from "zod";
import { VersionConflictError } from "../errors.ts";
import { workspaceIndexKey } from "../repo/layout.ts";
import { isNameSegment } from "../repo/names.ts";
import type { BlobStore, WholeBlobs } from "../store/blob-store.ts";
import { readStoredJson, type StoredJson } from "./stored-json.ts";

const time = z.iso.datetime();

const entrySchema = z.strictObject({
  slug: z.string().refine(isNameSegment),
  projectKey: z.string().optional(),
  isPrivate: z.boolean(),
  sizeBytes: z.number().nonnegative().optional(),
  /** As REST wrote it. */
  updatedOn: z.string(),
  /** When REST said all this. */
  seenAt: time,
  /** When the last job was made for it. */
  checkedAt: time.optional(),
  /** Why a job is to be made for it. */
  due: z.enum(["new", "changed", "gone", "failed"]).optional(),
  /** `mirrored`: jobs keep it in step. `retired`: it is not selected any more, and what is here goes in time. */
  held: z.enum(["mirrored", "retired"]).optional(),
  /** The last complete list did not have it. */
  isGone: z.literal(true).optional(),
});

const indexSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** When the last complete list was asked for. */
  listedAt: time.optional(),
  /** The latest `updatedOn` that was seen. */
  updatedCursor: z.string().optional(),
  /** What is left of the budget for REST. */
  rest: z.strictObject({ tokens: z.number(), at: time, pausedUntil: time.optional() }).optional(),
  repositories: z.record(z.guid(), entrySchema),
});

export type WorkspaceIndex = z.infer<typeof indexSchema>;
export type IndexedRepository = z.infer<typeof entrySchema>;

export function readWorkspaceIndex(
  store: WholeBlobs,
  workspace: string,
): Promise<StoredJson<WorkspaceIndex>> {
  return readStoredJson(store, workspaceIndexKey(workspace), indexSchema);
}

/** @returns Whether it was written: not if another run was faster. What that one left undone, the next one does. */
export async function writeWorkspaceIndex(
  store: WholeBlobs,
  workspace: string,
  index: WorkspaceIndex,
  { version }: StoredJson<WorkspaceIndex>,
): Promise<boolean> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(index)}\n`);
  try {
    await store.write(workspaceIndexKey(workspace), bytes, { ifVersion: version });
    return true;
  } catch (error) {
    if (error instanceof VersionConflictError) return false;
    throw error;
  }
}

export async function forgetWorkspaceIndex(store: BlobStore, workspace: string): Promise<void> {
  await store.delete(workspaceIndexKey(workspace));
}

/** The document of a repository's files of git-lfs, `lfs.json`: which tables there are, and what was planned. */
import * as z from "zod/mini";
import type { DocumentForm } from "./stored-document.ts";

const count = z.int().check(z.nonnegative());

const rightsSchema = z.object({
  formatVersion: z.literal(1),
  /** Oldest first. */
  tables: z.array(
    z.object({ id: z.string().check(z.regex(/^[0-9a-f]{40}$/)), records: count, bytes: count }),
  ),
  /** Packs whose pointers were planned for copying. */
  plannedPacks: z.array(z.string()),
  /** By which policy. */
  plannedFor: z.string(),
  /** Pointers in the repository's packs when these were planned, each oid once, and what their files have in all. */
  pointers: count,
  pointerBytes: count,
  /** Packs that were not searched for pointers by then. */
  unsearchedPacks: z.optional(count),
  /** When files were last looked for that are to be asked about again; see `lib/lfs/survey-files.ts`. */
  duePlannedAt: z.optional(z.iso.datetime()),
  /** SHA-256 of the refs whose files were planned. */
  plannedRefs: z.optional(z.string()),
  plannedAt: z.optional(z.iso.datetime()),
  /** What `.lfsconfig` of the default branch names as the place of files. */
  configuredUrl: z.optional(z.string()),
  /** Stored files that the primary did not name any more, since then; see `countRemovals`. */
  removals: z.optional(z.object({ since: z.iso.datetime(), files: count })),
});

export type LfsRightsDocument = z.infer<typeof rightsSchema>;

export type ListedTable = LfsRightsDocument["tables"][number];

/** Losing it costs asking the primary again: files are found in the store by their oid. */
export const LFS_RIGHTS_FORM: DocumentForm<LfsRightsDocument> = {
  schema: rightsSchema,
  whenDamaged: "absent",
  checksum: "written",
};

export const NO_RIGHTS: LfsRightsDocument = {
  formatVersion: 1,
  tables: [],
  plannedPacks: [],
  plannedFor: "",
  pointers: 0,
  pointerBytes: 0,
};

/** What the janitor keeps in mind between its runs: `repos/<uuid>/janitor.json`. Losing it costs one more grace period. */
import * as z from "zod/mini";
import type { WholeBlobs } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import { type DocumentForm, StoredDocument } from "./stored-document.ts";

const notesSchema = z.object({
  ranAt: z.iso.datetime(),
  /** By key, without the repository's prefix: when a run first saw that no manifest names it. */
  unnamed: z.record(z.string(), z.iso.datetime()),
});

export type JanitorNotes = z.infer<typeof notesSchema>;

const FORM: DocumentForm<JanitorNotes> = { schema: notesSchema, whenDamaged: "absent", indent: 1 };

export function janitorNotes(store: WholeBlobs, keys: RepositoryKeys): StoredDocument<JanitorNotes> {
  return new StoredDocument(store, keys.janitorNotes, FORM);
}

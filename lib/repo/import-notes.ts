/**
 * How far the first sync of a large repository has come: `repos/<uuid>/import.json`. What is fetched of it is kept slice by
 * slice, and no manifest names it until all is there. Without these notes the import begins anew.
 */
import * as z from "zod/mini";
import type { ObjectId } from "../git/object-id.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import { packSchema } from "./manifest.ts";
import { type DocumentForm, type Stored, StoredDocument } from "./stored-document.ts";

const objectId = z.custom<ObjectId>((id) => typeof id === "string" && /^[0-9a-f]{40}$/.test(id));
const count = z.int().check(z.nonnegative());

/** Some commits of the history, whose parents are among them or in steps before. */
const stepSchema = z.object({
  /** Those of which none of the step is a parent: with what they reach, they are the step and all before it. */
  wants: z.array(objectId),
  /** Parents in steps before, and in which one. */
  haves: z.array(z.tuple([objectId, z.int()])),
});

const notesSchema = z.object({
  /** The whole history, oldest first. Absent while all that is known is that it is large. */
  steps: z.optional(z.array(stepSchema)),
  /** How many of them are stored. */
  doneSteps: count,
  /** What has them, oldest first. */
  packs: z.array(packSchema),
  /** What the next slice may have. */
  sliceBytes: count,
  /** Slices that came whole since one was cut. */
  wholeSlices: count,
  /** What a step has on average, as far as is known. */
  bytesPerStep: z.number().check(z.positive()),
  /** How many steps are being fetched. If a starting import finds it, that fetch was cut. */
  underWay: z.optional(count),
  changedAt: z.iso.datetime(),
});

export type ImportNotes = z.infer<typeof notesSchema>;
export type ImportStep = z.infer<typeof stepSchema>;
export type StoredImportNotes = Stored<ImportNotes>;

const FORM: DocumentForm<ImportNotes> = { schema: notesSchema, whenDamaged: "absent" };

export function importNotes(store: WholeBlobs, keys: RepositoryKeys): StoredDocument<ImportNotes> {
  return new StoredDocument(store, keys.importNotes, FORM);
}

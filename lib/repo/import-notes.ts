/**
 * How far the first sync of a large repository has come: `repos/<uuid>/import.json`. What is fetched of it is kept slice by
 * slice, and no manifest names it until all is there. Without these notes the import begins anew.
 */
import * as z from "zod";
import { NotFoundError } from "../errors.ts";
import { type ObjectId, parseObjectId } from "../git/object-id.ts";
import type { BlobStore, BlobVersion } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";
import { packSchema } from "./manifest.ts";

const objectId = z
  .string()
  .regex(/^[0-9a-f]{40}$/)
  .transform((text): ObjectId => parseObjectId(text));
const count = z.number().int().nonnegative();

/** Some commits of the history, whose parents are among them or in steps before. */
const stepSchema = z.strictObject({
  /** Those of which none of the step is a parent: with what they reach, they are the step and all before it. */
  wants: z.array(objectId),
  /** Parents in steps before, and in which one. */
  haves: z.array(z.tuple([objectId, z.number().int()])),
});

const notesSchema = z.strictObject({
  formatVersion: z.literal(1),
  /** The whole history, oldest first. Absent while all that is known is that it is large. */
  steps: z.array(stepSchema).optional(),
  /** How many of them are here. */
  doneSteps: count,
  /** What has them, oldest first. */
  packs: z.array(packSchema),
  /** What the next slice may have. */
  sliceBytes: count,
  /** Slices that came whole since one was cut. */
  wholeSlices: count,
  /** What a step has on average, as far as is known. */
  bytesPerStep: z.number().positive(),
  /** How many steps are being fetched. If a starting import finds it, that fetch was cut. */
  underWay: count.optional(),
  changedAt: z.iso.datetime(),
});

export type ImportNotes = z.infer<typeof notesSchema>;
export type ImportStep = z.infer<typeof stepSchema>;

export interface StoredImportNotes {
  readonly notes: ImportNotes | undefined;
  readonly version: BlobVersion | "absent";
}

/** What cannot be understood is taken for absent, and written over. */
export async function readImportNotes(store: BlobStore, keys: RepositoryKeys): Promise<StoredImportNotes> {
  try {
    const { bytes, version } = await store.read(keys.importNotes);
    return { notes: parse(bytes), version };
  } catch (error) {
    if (error instanceof NotFoundError) return { notes: undefined, version: "absent" };
    throw error;
  }
}

/** @throws {VersionConflictError} Another writer was first. */
export async function writeImportNotes(
  store: BlobStore,
  keys: RepositoryKeys,
  notes: ImportNotes,
  ifVersion: BlobVersion | "absent",
): Promise<StoredImportNotes> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(notes)}\n`);
  return { notes, version: await store.write(keys.importNotes, bytes, { ifVersion }) };
}

function parse(bytes: Uint8Array): ImportNotes | undefined {
  try {
    return notesSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What the janitor keeps in mind between its runs: `repos/<uuid>/janitor.json`. Losing it costs one more grace period. */
import * as z from "zod";
import { NotFoundError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryKeys } from "./layout.ts";

const notesSchema = z.strictObject({
  ranAt: z.iso.datetime(),
  /** By key, without the repository's prefix: when a run first saw that no manifest names it. */
  unnamed: z.record(z.string(), z.iso.datetime()),
});

export type JanitorNotes = z.infer<typeof notesSchema>;

/** @returns `undefined` if there are none, or none that this version understands. */
export async function readJanitorNotes(
  store: BlobStore,
  keys: RepositoryKeys,
): Promise<JanitorNotes | undefined> {
  try {
    const { bytes } = await store.read(keys.janitorNotes);
    return notesSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Two janitors at once may overwrite each other's notes: both are true, and what is lost is noted again. */
export async function writeJanitorNotes(
  store: BlobStore,
  keys: RepositoryKeys,
  notes: JanitorNotes,
): Promise<void> {
  await store.write(keys.janitorNotes, new TextEncoder().encode(`${JSON.stringify(notes, undefined, 1)}\n`));
}

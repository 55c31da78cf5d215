/**
 * Which files no repository points to: `lfs-sweep.json`. A file is deleted in two steps, a day apart, so that a copier that
 * finds it in the store can keep it:
 *
 * 1. A sweep notes it as unused.
 * 2. A later one moves it to `deleting` by compare-and-swap, deletes it, and takes it out.
 *
 * A copier takes a file out of `unused` before it looks whether the file is there, and waits while it is in `deleting`. A
 * sweep that stops moves what it has not deleted back to `unused`.
 *
 * `forgotten` has what an operator had deleted at once: a copier looks there before it asks the primary, before it gives a right,
 * and after it.
 */
import * as z from "zod/mini";
import { VersionConflictError } from "../errors.ts";
import { type DocumentForm, StoredDocument } from "../repo/stored-document.ts";
import type { BlobStore } from "../store/blob-store.ts";

const deletionSchema = z.object({ at: z.iso.datetime(), oids: z.array(z.string()) });

const notesSchema = z.object({
  ranAt: z.iso.datetime(),
  /** By oid: since when. */
  unused: z.record(z.string(), z.iso.datetime()),
  deleting: z.optional(deletionSchema),
  /** By oid: since when. */
  forgotten: z.optional(z.record(z.string(), z.iso.datetime())),
});

export type SweepNotes = z.infer<typeof notesSchema>;
type Deletion = z.infer<typeof deletionSchema>;

/** What a killed sweep was deleting is left to others after this time. */
export const TAKE_OVER_MS = 60 * 60 * 1000;

/** Losing it costs one more day, and a copier that runs meanwhile may copy a forgotten file once more. */
const FORM: DocumentForm<SweepNotes> = { schema: notesSchema, whenDamaged: "absent" };

export function sweepNotes(store: BlobStore): StoredDocument<SweepNotes> {
  return new StoredDocument(store, "lfs-sweep.json", FORM);
}

/** Longer than any copier takes from its question to the record. */
const FORGOTTEN_MS = 2 * 24 * 60 * 60 * 1000;

/** To be done before the first right is removed. */
export async function noteForgotten(store: BlobStore, oid: string): Promise<void> {
  const nowMs = Date.now();
  await sweepNotes(store).change((current) => {
    const recent = Object.entries(current?.forgotten ?? {}).filter(
      ([, since]) => nowMs - Date.parse(since) < FORGOTTEN_MS,
    );
    return {
      ...(current ?? { ranAt: new Date(0).toISOString(), unused: {} }),
      forgotten: { ...Object.fromEntries(recent), [oid]: new Date(nowMs).toISOString() },
    };
  });
}

/** By oid: since when. */
export type ForgottenFiles = Readonly<Record<string, string>>;

/** One request. */
export async function readForgotten(store: BlobStore): Promise<ForgottenFiles> {
  return (await sweepNotes(store).read()).value?.forgotten ?? {};
}

/** Whether the sweep that was deleting these files surely does not run any more: it ends after half of the time. */
export function isAbandoned({ at }: Deletion, nowMs: number): boolean {
  return nowMs - Date.parse(at) >= TAKE_OVER_MS;
}

/**
 * Keeps files that are about to get a record; one request where none is noted. They are taken from a sweep that was killed.
 * @returns What was forgotten until now.
 * @throws {VersionConflictError} Some are just being deleted: to be tried again.
 */
export async function keepFiles(
  store: BlobStore,
  oids: readonly string[],
  nowMs: number,
): Promise<ForgottenFiles> {
  const notes = sweepNotes(store);
  const known = await notes.readForChange();
  const { unused = {}, deleting, forgotten = {} } = known.value ?? {};
  if (!oids.some((oid) => oid in unused) && deleting === undefined) return forgotten;
  const kept = new Set(oids);
  await notes.change((current) => {
    if (current === undefined) return undefined;
    const left = Object.entries(current.unused).filter(([oid]) => !kept.has(oid));
    const next = { ...current, unused: Object.fromEntries(left) };
    if (!next.deleting?.oids.some((oid) => kept.has(oid))) return next;
    if (!isAbandoned(next.deleting, nowMs))
      throw new VersionConflictError("LFS files that are to be copied are just being deleted");
    const { at, oids: doomed } = next.deleting;
    return { ...next, deleting: { at, oids: doomed.filter((oid) => !kept.has(oid)) } };
  }, known);
  return forgotten;
}

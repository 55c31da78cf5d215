/** What administrators of a workspace did on the pages: the newest entries, in one document of the store. */
import * as z from "zod/mini";
import { printableLine } from "../printable-line.ts";
import { adminLogKey } from "../repo/layout.ts";
import { type DocumentForm, StoredDocument } from "../repo/stored-document.ts";
import type { WholeBlobs } from "../store/blob-store.ts";

const entrySchema = z.object({
  at: z.iso.datetime(),
  /** As Bitbucket knows the account: an e-mail address. */
  who: z.string(),
  /** One of the page's. */
  action: z.string(),
  /** What it was done to, or with. */
  detail: z.optional(z.string()),
  /** Why it failed. */
  problem: z.optional(z.string()),
});

export type AdminLogEntry = z.infer<typeof entrySchema>;

interface AdminLog {
  /** Oldest first. */
  readonly entries: readonly AdminLogEntry[];
}

const FORM: DocumentForm<AdminLog> = {
  schema: z.object({ entries: z.readonly(z.array(entrySchema)) }),
  whenDamaged: "absent",
};

/** Of each action, so that many of one, as "sync", leave those of others. */
const MAX_ENTRIES = 50;

export async function readAdminLog(store: WholeBlobs, workspace: string): Promise<readonly AdminLogEntry[]> {
  return (await adminLog(store, workspace).read()).value?.entries ?? [];
}

const MAX_TEXT_LENGTH = 500;

/** @returns What an entry, and the server's log, may hold of a text: one line, not long, without characters that hide others. */
export function loggedText(text: string): string {
  return printableLine(text).slice(0, MAX_TEXT_LENGTH);
}

/** Resolves when it is stored. @param entry - With texts as of `loggedText`. @throws {VersionConflictError} Others write at the same time. */
export async function appendAdminLog(
  store: WholeBlobs,
  workspace: string,
  entry: AdminLogEntry,
): Promise<void> {
  await adminLog(store, workspace).change((log) => ({ entries: newest([...(log?.entries ?? []), entry]) }));
}

function newest(entries: readonly AdminLogEntry[]): readonly AdminLogEntry[] {
  const counts = new Map<string, number>();
  const kept = entries.toReversed().filter(({ action }) => {
    const count = (counts.get(action) ?? 0) + 1;
    counts.set(action, count);
    return count <= MAX_ENTRIES;
  });
  return kept.reverse();
}

function adminLog(store: WholeBlobs, workspace: string): StoredDocument<AdminLog> {
  return new StoredDocument(store, adminLogKey(workspace), FORM);
}

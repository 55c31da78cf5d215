/** What administrators of a workspace did on the pages: the newest entries, in one document of the store. */
import * as z from "zod/mini";
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

const MAX_ENTRIES = 200;
const MAX_TEXT_LENGTH = 500;

export async function readAdminLog(store: WholeBlobs, workspace: string): Promise<readonly AdminLogEntry[]> {
  return (await adminLog(store, workspace).read()).value?.entries ?? [];
}

/** Resolves when it is stored. */
export async function appendAdminLog(
  store: WholeBlobs,
  workspace: string,
  { detail, problem, ...entry }: AdminLogEntry,
): Promise<void> {
  const added = {
    ...entry,
    ...(detail !== undefined && { detail: detail.slice(0, MAX_TEXT_LENGTH) }),
    ...(problem !== undefined && { problem: problem.slice(0, MAX_TEXT_LENGTH) }),
  };
  await adminLog(store, workspace).change((log) => ({
    entries: [...(log?.entries ?? []), added].slice(-MAX_ENTRIES),
  }));
}

function adminLog(store: WholeBlobs, workspace: string): StoredDocument<AdminLog> {
  return new StoredDocument(store, adminLogKey(workspace), FORM);
}

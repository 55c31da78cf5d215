/** What the mirror knows of the webhooks that it has installed in one workspace: `webhooks/<workspace>.json`. */
import * as z from "zod/mini";
import { type DocumentForm, StoredDocument } from "../repo/stored-document.ts";
import type { WholeBlobs } from "../store/blob-store.ts";

const installedSchema = z.object({
  checkedAt: z.iso.datetime(),
  /** Of address, events and secret. */
  fingerprint: z.string(),
  /** `none`: the account may install none, and the mirror learns of changes by asking. */
  level: z.enum(["workspace", "repository", "none"]),
  /** Repositories with one of their own, by their uuids. */
  repositories: z.array(z.guid()),
  /** In words, for people. */
  problem: z.optional(z.string()),
});

export type InstalledWebhooks = z.infer<typeof installedSchema>;

/** If it is lost, webhooks are found at Bitbucket by their description. */
const FORM: DocumentForm<InstalledWebhooks> = { schema: installedSchema, whenDamaged: "absent" };

export function installedWebhooks(store: WholeBlobs, workspace: string): StoredDocument<InstalledWebhooks> {
  return new StoredDocument(store, `webhooks/${workspace.toLowerCase()}.json`, FORM);
}

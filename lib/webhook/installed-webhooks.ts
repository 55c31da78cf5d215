/** What the mirror knows of the webhooks it has put up in one workspace: `webhooks/<workspace>.json`. */
import * as z from "zod";
import type { StoredJson } from "../mirror/stored-json.ts";
import { changeStoredJson, readStoredJson } from "../mirror/stored-json.ts";
import type { BlobStore } from "../store/blob-store.ts";

const installedSchema = z.strictObject({
  formatVersion: z.literal(1),
  checkedAt: z.iso.datetime(),
  /** Of address, events and secret. */
  fingerprint: z.string(),
  /** `none`: the account may put up none, and the mirror learns of changes by asking. */
  level: z.enum(["workspace", "repository", "none"]),
  /** Repositories with one of their own, by their uuids. */
  repositories: z.array(z.guid()),
  /** In words, for people. */
  problem: z.string().optional(),
});

export type InstalledWebhooks = z.infer<typeof installedSchema>;

export function readInstalledWebhooks(
  store: BlobStore,
  workspace: string,
): Promise<StoredJson<InstalledWebhooks>> {
  return readStoredJson(store, keyOf(workspace), installedSchema);
}

export async function writeInstalledWebhooks(
  store: BlobStore,
  workspace: string,
  installed: InstalledWebhooks,
  known: StoredJson<InstalledWebhooks>,
): Promise<void> {
  await changeStoredJson(store, keyOf(workspace), installedSchema, () => installed, known);
}

export async function forgetInstalledWebhooks(store: BlobStore, workspace: string): Promise<void> {
  await store.delete(keyOf(workspace));
}

function keyOf(workspace: string): string {
  return `webhooks/${workspace.toLowerCase()}.json`;
}

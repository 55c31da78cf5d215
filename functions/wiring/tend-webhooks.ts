/** Keeps the webhooks of one workspace as its configuration wants them. */
import type { BitbucketHooksApi } from "../../lib/bitbucket/hooks-api.ts";
import type { Logger } from "../../lib/log.ts";
import type { MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { installWebhooks, removeWebhooks } from "../../lib/webhook/install-webhooks.ts";

export interface TendWebhooksOptions {
  readonly store: BlobStore;
  readonly hooksOf: (workspace: MirroredWorkspace) => Promise<BitbucketHooksApi>;
  readonly mirrorUrl: string;
  readonly mirrorName: string;
  readonly readSecret: () => Promise<string>;
  readonly log: Logger;
}

export async function tendWebhooks(
  workspace: MirroredWorkspace,
  { store, hooksOf, mirrorUrl, mirrorName, readSecret, log }: TendWebhooksOptions,
): Promise<void> {
  // Creating webhooks takes a credential.
  if (workspace.credential === undefined) return;
  const name = workspace.workspace;
  const options = {
    store,
    log,
    mirrorUrl,
    mirrorName,
    api: await hooksOf(workspace),
    secret: await readSecret(),
    repositories: async () => {
      const { value } = await readWorkspaceIndex(store, name);
      const entries = Object.entries(value?.repositories ?? {});
      return entries.flatMap(([uuid, { held }]) => (held === "mirrored" ? [uuid] : []));
    },
  };
  if (workspace.removedAt === undefined) await installWebhooks(name, options);
  else await removeWebhooks(name, options);
}

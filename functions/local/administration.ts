/** What administrators may do on the pages of a mirror in one process: all of it. */
import type { Logger } from "../../lib/log.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import { acceptRemovals } from "../../lib/mirror/workspace-index.ts";
import type { MeasuredHistory } from "../../lib/pages/ports.ts";
import { KeptDeadLetters } from "../../lib/queue/kept-messages.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import { deadLettersOf } from "../wiring/dead-letters.ts";
import type { PageAdministration } from "../wiring/mirror-pages.ts";
import { tryAccount } from "../wiring/try-account.ts";
import { LOCAL_QUEUES, StoredMessages } from "./stored-messages.ts";

export interface AdministrationOptions {
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** Whether administrators connect workspaces that are not mirrored. */
  readonly canConnect: boolean;
  readonly apiOf: BitbucketAccess["apiOf"];
  readonly history: () => MeasuredHistory;
  /** Has queues take what is replayed. */
  readonly takeKept: () => Promise<unknown>;
  readonly log: Logger;
}

export function localAdministration(options: AdministrationOptions): PageAdministration {
  const { store, requests, canConnect, apiOf, history, takeKept, log } = options;
  const places = LOCAL_QUEUES.map((name) => new KeptDeadLetters(new StoredMessages(store, name)));
  return {
    ...{ requests, canConnect },
    configuration: {
      change: (change) => changeMirrorConfig(store, change),
      tryAccount: (workspace) => tryAccount(workspace, { apiOf }),
      acceptRemovals: (workspace, only) => acceptRemovals(store, workspace, new Date(), only),
    },
    deadLetters: deadLettersOf(places, takeKept),
    history,
    log,
  };
}

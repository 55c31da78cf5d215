/** What administrators may do on the pages of a mirror in one process: all of it. */
import type { Logger } from "../../lib/log.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import type { SyncRequests } from "../../lib/mirror/sync-job.ts";
import { acceptRemovals } from "../../lib/mirror/workspace-index.ts";
import type { MeasuredHistory } from "../../lib/pages/ports.ts";
import { KeptDeadLetters } from "../../lib/queue/kept-messages.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import { deadLetterSubject } from "../wiring/dead-letters.ts";
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

/** On a page, and at a time. */
const MAX_LETTERS = 1_000;

export function localAdministration(options: AdministrationOptions): PageAdministration {
  const { store, requests, canConnect, apiOf, history, takeKept, log } = options;
  const places = LOCAL_QUEUES.map((name) => new KeptDeadLetters(new StoredMessages(store, name)));
  const isOf = (workspace: string) => (body: string) =>
    deadLetterSubject(body).workspace?.toLowerCase() === workspace.toLowerCase();
  return {
    ...{ requests, canConnect },
    configuration: {
      change: (change) => changeMirrorConfig(store, change),
      tryAccount: (workspace) => tryAccount(workspace, { apiOf }),
      acceptRemovals: (workspace) => acceptRemovals(store, workspace, new Date()),
    },
    deadLetters: {
      async list(workspace) {
        const letters = await Promise.all(places.map((place) => place.list(MAX_LETTERS, isOf(workspace))));
        return letters.flat().map(({ body }) => deadLetterSubject(body).text);
      },
      async replay(workspace) {
        let count = 0;
        for (const place of places) count += await place.replay(MAX_LETTERS, isOf(workspace));
        await takeKept();
        return count;
      },
    },
    history,
    log,
  };
}

/** How repositories are found for requests, with syncs on demand: the same in deployed functions and in the server. */
import { FirstSync } from "../../lib/git-http/first-sync.ts";
import type { GitHttpOptions } from "../../lib/git-http/git-http.ts";
import { SyncOnDemand, type SyncOnDemandOptions } from "../../lib/git-http/sync-on-demand.ts";
import { answerUnserved } from "../../lib/git-http/unserved.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryCatalog } from "../../lib/repo/repository-catalog.ts";
import { repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { ValueOf } from "../../lib/settings.ts";

interface ServedOptions extends Pick<SyncOnDemandOptions, "store" | "requests" | "log" | "pushedAtMs"> {
  readonly catalog: RepositoryCatalog;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly lfs?: GitHttpOptions["lfs"];
  readonly settings: { readonly [Name in "waitSeconds" | "redirectUnmirrored" | "gitUrl"]: ValueOf<Name> };
}

export function servedRepositories({ readConfig, settings, lfs, ...options }: ServedOptions) {
  const { catalog, store } = options;
  const syncs = { ...options, maxWaitMs: settings.waitSeconds * 1000 };
  return {
    find: (...request) => catalog.find(...request),
    onDemand: new SyncOnDemand(syncs),
    unserved: answerUnserved({
      ...{ store, readConfig, firstSync: new FirstSync(syncs), gitUrl: settings.gitUrl },
      redirects: settings.redirectUnmirrored === "public",
      ...(lfs && { lfs }),
    }),
    readState: async (uuid) => (await repositoryDocument(store, uuid).read()).value,
  } satisfies Partial<GitHttpOptions>;
}

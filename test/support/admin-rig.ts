/** The pages for administrators over an index in memory, with the workspace `acme` of which Olga is one. */
import { MetricHistory } from "../../functions/local/metric-history.ts";
import { type Logger, SILENT_LOGGER } from "../../lib/log.ts";
import { readAdminLog } from "../../lib/mirror/admin-log.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../lib/mirror/config-store.ts";
import type { MirroredWorkspace, MirroredWorkspaceInput } from "../../lib/mirror/mirror-config.ts";
import type { SyncJob } from "../../lib/mirror/sync-job.ts";
import type { Delegate } from "../../lib/pages/ports.ts";
import { pageRig, type RigCaller } from "./page-rig.ts";

export const OLGA = {
  ...{ user: "olga@example.com", token: "olga-page-token", reads: ["vault", "plans"] },
  administers: ["acme", "elsewhere"],
};
export const RITA: RigCaller = { user: "rita@example.com", token: "rita-page-token", reads: ["vault"] };
/** An administrator of a workspace that is not mirrored. */
export const OTHER: RigCaller = { ...RITA, token: "other-page-token", administers: ["elsewhere"] };
export const GIT_ONLY: RigCaller = { ...OLGA, user: "olga", token: "git-page-token" };

export const REPOSITORIES = [
  { slug: "vault", isPrivate: true },
  { slug: "plans", isPrivate: true },
];
export const SAME_ORIGIN = { "sec-fetch-site": "same-origin" };

interface AdminRigOptions {
  readonly workspaces?: readonly MirroredWorkspaceInput[];
  readonly callers?: readonly RigCaller[];
  readonly tryAccount?: (workspace: MirroredWorkspace) => Promise<unknown>;
  readonly change?: () => Promise<never>;
  readonly log?: Logger;
  readonly canConnect?: boolean;
  readonly delegate?: Delegate;
}

export async function adminRig(options: AdminRigOptions = {}) {
  const {
    workspaces,
    callers,
    tryAccount,
    change: changeConfig,
    log: logger = SILENT_LOGGER,
    canConnect = true,
    delegate,
  } = options;
  const jobs: SyncJob[] = [];
  const history = new MetricHistory();
  history.record({
    SentBytes: 5_000_000,
    PacksCopied: 3,
    PacksPlanned: 1,
    JobFailures: 2,
    SyncLagSeconds: 7,
  });
  const letters = ["acme/vault, push"];
  /** Slugs, or all, of each acceptance of removals. */
  const accepted: (readonly string[] | "all")[] = [];
  const rig = await pageRig({
    repositories: REPOSITORIES,
    callers: callers ?? [OLGA, RITA, OTHER, GIT_ONLY],
    ...(workspaces && { workspaces }),
    administration: (store) => ({
      requests: { request: async (some) => void jobs.push(...some.map(({ job }) => job)) },
      canConnect,
      ...(delegate && { delegate }),
      configuration: {
        change: changeConfig ?? ((change) => changeMirrorConfig(store, change)),
        async tryAccount(workspace) {
          await tryAccount?.(workspace);
          return "acme/vault";
        },
        acceptRemovals: async (_workspace, only) => void accepted.push(only ?? "all"),
      },
      deadLetters: {
        list: async (workspace) => (workspace === "acme" ? letters : []),
        replay: async () => letters.splice(0).length,
      },
      history: () => history.read(),
      log: logger,
    }),
  });
  const act = async (
    action: string,
    fields: Record<string, string> | readonly (readonly [string, string])[] = {},
    headers: object = SAME_ORIGIN,
  ) =>
    rig.send(`/-/admin/acme/${action}`, {
      method: "POST",
      headers: { ...(await rig.sessionOf(callers?.[0] ?? OLGA)), ...headers },
      body: Buffer.from(new URLSearchParams(fields as Record<string, string>).toString()),
    });
  const config = async () => (await readMirrorConfig(rig.configStore))?.workspaces[0];
  return { ...rig, jobs, accepted, act, config, log: () => readAdminLog(rig.store, "acme") };
}

/** Goes through all workspaces of the mirror. What is wrong with one does not keep the others waiting. */
import { errorFields } from "../errors.ts";
import { changeMirrorConfig } from "../mirror/config-store.ts";
import type { MirrorConfig, MirroredWorkspace } from "../mirror/mirror-config.ts";
import { isActive } from "../mirror/selection.ts";
import { type WorkspaceIndex, workspaceIndex } from "../mirror/workspace-index.ts";
import { UNCHANGED } from "../repo/stored-document.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { type ReconcileOptions, type ReconcileOutcome, reconcileWorkspace } from "./reconcile-workspace.ts";

export interface ReconcileMirrorOptions extends ReconcileOptions {
  readonly readConfig: () => Promise<MirrorConfig>;
  /** Puts up the webhooks of a workspace that is mirrored, and takes down those of one that is removed. */
  readonly tendWebhooks?: (workspace: MirroredWorkspace) => Promise<void>;
  /** Logs and counts an account that ends soon, or has ended. Called in each round, before Bitbucket is asked. */
  readonly reportExpiry?: (workspace: MirroredWorkspace) => Promise<void>;
}

export interface WorkspaceReport {
  readonly workspace: string;
  readonly jobCount: number;
  readonly failure: unknown;
}

/** Never throws for one workspace: its failure is in the report, and logged. */
export async function reconcileMirror(options: ReconcileMirrorOptions): Promise<WorkspaceReport[]> {
  const reports: WorkspaceReport[] = [];
  for (const workspace of (await options.readConfig()).workspaces) {
    const name = workspace.workspace;
    const fail = (error: unknown): unknown => {
      options.log.error("reconcile:failed", { workspace: name, ...errorFields(error) });
      return error;
    };
    try {
      // Also where Bitbucket rejects a token that has ended, or limits the rate: the alarm must stay then.
      const expiryFailure = isActive(workspace)
        ? await options.reportExpiry?.(workspace).catch(fail)
        : undefined;
      const outcome = await reconcileWorkspace(workspace, options);
      const hooksFailure = workspace.disabled
        ? undefined
        : await options.tendWebhooks?.(workspace).catch(fail);
      if (isOver(workspace, outcome, hooksFailure)) await forget(options.store, workspace);
      reports.push({
        workspace: name,
        jobCount: outcome.jobCount,
        failure: outcome.failure ?? hooksFailure ?? expiryFailure,
      });
    } catch (error) {
      reports.push({ workspace: name, jobCount: 0, failure: fail(error) });
    }
  }
  const failed = reports.filter(({ failure }) => failure !== undefined).map(({ workspace }) => workspace);
  const measured = failed.length === 0 ? { ReconcileRounds: 1 } : {};
  options.log.info("reconcile:round", { workspaces: reports.length, failed }, measured);
  return reports;
}

/** Not while there are webhooks that could not be taken down. */
function isOver(
  { removedAt }: MirroredWorkspace,
  { isEmpty }: ReconcileOutcome,
  hooksFailure: unknown,
): boolean {
  return removedAt !== undefined && isEmpty && hooksFailure === undefined;
}

async function forget(store: BlobStore, { workspace }: MirroredWorkspace): Promise<void> {
  await workspaceIndex(store, workspace).change((index) =>
    index === undefined || isEmptyIndex(index) ? undefined : UNCHANGED,
  );
  await changeMirrorConfig(store, (config) => ({
    ...config,
    // It may have been connected again just now.
    workspaces: config.workspaces.filter((one) => one.workspace !== workspace || one.removedAt === undefined),
  }));
}

function isEmptyIndex({ repositories }: WorkspaceIndex): boolean {
  return Object.values(repositories).every(({ held }) => held === undefined);
}

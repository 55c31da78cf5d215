/** What administrators do to a workspace: the same changes as the commands of the same names. */
import { ConfigError } from "../errors.ts";
import { connectWorkspace, pauseWorkspace, removeWorkspace } from "../mirror/change-workspaces.ts";
import { findWorkspace, type MirrorConfig } from "../mirror/mirror-config.ts";
import { failedRepositories } from "../mirror/repository-state.ts";
import type { SyncJob } from "../mirror/sync-job.ts";
import { isNameSegment, readName } from "../repo/names.ts";
import { planConnect, planReconnect } from "./admin-accounts.ts";
import { planSelect } from "./admin-selection.ts";
import {
  type ActionContext,
  configurationOf,
  mayNot,
  type Plan,
  type PlannedAction,
} from "./planned-action.ts";

export interface AdminAction {
  /** Said when it is done. */
  readonly done: string;
  readonly plan: Plan;
  /** It does nothing but queue jobs, which every process with these pages may do. */
  readonly onlyQueues?: true;
}

export const ADMIN_ACTIONS = {
  sync: { done: "The sync is queued.", plan: planSync, onlyQueues: true },
  retry: {
    done: "Syncs of all repositories whose last one failed are queued.",
    plan: planRetry,
    onlyQueues: true,
  },
  pause: {
    done: "The workspace is paused: nothing of it is served.",
    plan: changing((config, name) => pauseWorkspace(config, name, true)),
  },
  resume: {
    done: "The workspace is served again.",
    plan: changing((config, name) => pauseWorkspace(config, name, false)),
  },
  remove: {
    done: "The workspace is removed. Until its data is deleted you can restore it.",
    plan: planRemove,
  },
  restore: {
    done: "The workspace is connected again, with what is left of its data.",
    plan: changing((config, name) => connectWorkspace(config, name, findWorkspace(config, name)?.credential)),
  },
  select: {
    done: "The selection is changed. The mirror fetches what is new in the next minutes.",
    plan: planSelect,
  },
  connect: { done: "The workspace is connected. Select now what is mirrored.", plan: planConnect },
  reconnect: { done: "The workspace has the account that you named.", plan: planReconnect },
  replay: { done: "The dead letters are queued again.", plan: planReplay },
  accept: {
    done: "The mirror lists the workspace again: what Bitbucket still lacks then counts as deleted, and is served no longer.",
    plan: planAccept,
  },
} as const satisfies Readonly<Record<string, AdminAction>>;

export type AdminActionName = keyof typeof ADMIN_ACTIONS;

export function isAdminAction(name: string): name is AdminActionName {
  return Object.hasOwn(ADMIN_ACTIONS, name);
}

function changing(change: (config: MirrorConfig, workspace: string) => MirrorConfig): Plan {
  return (workspace, _form, { administration }) => ({
    run: () => configurationOf(administration).change((config) => change(config, workspace)),
  });
}

async function planSync(
  workspace: string,
  form: URLSearchParams,
  context: ActionContext,
): Promise<PlannedAction> {
  const queuedAt = new Date(context.now()).toISOString();
  const asked = form.get("repository");
  if (asked === null)
    return {
      run: () => request(context, [{ kind: "workspace", workspace, reason: "asked", queuedAt }]),
    };
  const slug = asked.trim().toLowerCase();
  const entry = isNameSegment(slug) ? await readName(context.store, workspace, slug) : undefined;
  if (entry === undefined)
    throw new ConfigError(`${workspace} has no repository ${asked.slice(0, 200)} here`);
  const { uuid } = entry;
  return {
    detail: slug,
    run: () => request(context, [{ kind: "repository", workspace, uuid, reason: "asked", queuedAt }]),
  };
}

function planRetry(workspace: string, _form: URLSearchParams, context: ActionContext): PlannedAction {
  const queuedAt = new Date(context.now()).toISOString();
  return {
    async run() {
      const jobs: SyncJob[] = [];
      for await (const uuid of failedRepositories(context.store, workspace))
        jobs.push({ kind: "repository", workspace, uuid, reason: "asked", queuedAt });
      await request(context, jobs);
    },
  };
}

async function request({ administration }: ActionContext, jobs: readonly SyncJob[]): Promise<void> {
  await administration.requests.request(
    jobs.map((job) => ({
      job,
      eventId: `asked-${job.kind === "repository" ? job.uuid : job.workspace.toLowerCase()}-${job.queuedAt}`,
    })),
  );
}

function planAccept(workspace: string, form: URLSearchParams, context: ActionContext): PlannedAction {
  // Always by name: all would include what Bitbucket has stopped listing since the page was shown.
  const only = form.getAll("repository");
  if (only.length === 0) throw new ConfigError("tick the repositories that were deleted at Bitbucket");
  const queuedAt = new Date(context.now()).toISOString();
  return {
    detail: only.join(", "),
    async run() {
      await configurationOf(context.administration).acceptRemovals(workspace, only);
      await request(context, [{ kind: "workspace", workspace, reason: "asked", queuedAt }]);
    },
  };
}

/** The retention time is the selection's, which has a preview. */
function planRemove(
  workspace: string,
  form: URLSearchParams,
  { administration, now }: ActionContext,
): PlannedAction {
  if ((form.get("confirm") ?? "").trim().toLowerCase() !== workspace.toLowerCase())
    throw new ConfigError(`to remove ${workspace}, enter its name: it is not served from then on`);
  const at = new Date(now());
  return {
    run: () => configurationOf(administration).change((config) => removeWorkspace(config, workspace, { at })),
  };
}

function planReplay(
  workspace: string,
  _form: URLSearchParams,
  { administration }: ActionContext,
): PlannedAction {
  return {
    async run() {
      if (administration.deadLetters === undefined) throw mayNot();
      const count = await administration.deadLetters.replay(workspace);
      if (count > 0) return;
      throw new ConfigError(
        "no dead letter of this workspace was found: there is none, or those of others are before it. Try again in a minute, or use nearside dead-letters",
      );
    },
  };
}

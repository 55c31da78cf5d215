/** What administrators do to a workspace: the same changes as the commands of the same names. */
import { ConfigError, NotFoundError } from "../errors.ts";
import {
  connectedWorkspace,
  connectWorkspace,
  pauseWorkspace,
  reconnectWorkspace,
  removeWorkspace,
  type SelectionChange,
  selectRepositories,
} from "../mirror/change-workspaces.ts";
import {
  checkMirrorConfig,
  findWorkspace,
  type MirrorConfig,
  mirrorConfigOf,
} from "../mirror/mirror-config.ts";
import { failedRepositories } from "../mirror/repository-state.ts";
import type { SyncJob } from "../mirror/sync-job.ts";
import { isNameSegment, readName } from "../repo/names.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { Administration } from "./ports.ts";

interface ActionContext {
  readonly store: BlobStore;
  readonly administration: Administration;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly now: () => number;
}

/** An action whose form was understood. */
export interface PlannedAction {
  /** For the log. */
  readonly detail?: string;
  /** @throws {MirrorError} It failed, with a message for the administrator. */
  readonly run: () => Promise<unknown>;
}

/** @throws {ConfigError} The form is not valid: nothing is done. */
type Plan = (
  workspace: string,
  form: URLSearchParams,
  context: ActionContext,
) => PlannedAction | Promise<PlannedAction>;

export interface AdminAction {
  /** Said when it is done. */
  readonly done: string;
  readonly plan: Plan;
}

export const ADMIN_ACTIONS = {
  sync: { done: "The sync is queued.", plan: planSync },
  retry: { done: "Syncs of all repositories whose last one failed are queued.", plan: planRetry },
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
  select: { done: "The selection is changed. The next round mirrors what is new.", plan: planSelect },
  connect: { done: "The workspace is connected. Select now what is mirrored.", plan: planConnect },
  reconnect: { done: "The workspace has the account that you named.", plan: planReconnect },
  replay: { done: "The dead letters are queued again.", plan: planReplay },
  accept: {
    done: "What Bitbucket's next list still lacks counts as deleted, and is withdrawn.",
    plan: (workspace, _form, { administration }) => ({
      run: () => configurationOf(administration).acceptRemovals(workspace),
    }),
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

async function planSelect(
  workspace: string,
  form: URLSearchParams,
  { administration, readConfig }: ActionContext,
): Promise<PlannedAction> {
  const change = selectionOf(form);
  checkMirrorConfig(selectRepositories(await readConfig(), workspace, change));
  return {
    detail: describeSelection(change),
    run: () =>
      configurationOf(administration).change((config) => selectRepositories(config, workspace, change)),
  };
}

async function planReconnect(
  name: string,
  form: URLSearchParams,
  context: ActionContext,
): Promise<PlannedAction> {
  const { credential: used } = connectedWorkspace(await context.readConfig(), name);
  return withAccount(name, form, context, { used, change: reconnectWorkspace });
}

function planConnect(name: string, form: URLSearchParams, context: ActionContext): Promise<PlannedAction> {
  return withAccount(name, form, context, { used: undefined, change: connectWorkspace });
}

interface AccountChange {
  /** The account that the workspace has. */
  readonly used: string | undefined;
  readonly change: (config: MirrorConfig, workspace: string, credential: string | undefined) => MirrorConfig;
}

/** Asks Bitbucket with the account before anything is changed. */
async function withAccount(
  name: string,
  form: URLSearchParams,
  { administration, readConfig }: ActionContext,
  { used, change }: AccountChange,
): Promise<PlannedAction> {
  const credential = (form.get("credential") ?? "").trim() || undefined;
  if (credential !== undefined && credential !== used && !isNamedFor(await readConfig(), name, credential))
    throw new ConfigError(
      `on this page ${name} may have the account that it uses, one with the name ${name}, or none: for another, use nearside reconnect`,
    );
  const [checked] = mirrorConfigOf([
    { workspace: name, projects: [], ...(credential !== undefined && { credential }) },
  ]).workspaces;
  return {
    detail: credential === undefined ? "no account" : `account ${credential}`,
    async run() {
      const configuration = configurationOf(administration);
      if (checked !== undefined) await configuration.tryAccount(checked).catch(throwUnusable);
      await configuration.change((before) => change(before, name, credential));
    },
  };
}

/**
 * Any account lists public repositories, so one that works may belong to others, whose requests at Bitbucket it would take.
 * Names are compared as environment variables have them, where several names mean the same secret.
 */
function isNamedFor({ workspaces }: MirrorConfig, workspace: string, credential: string): boolean {
  const folded = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "_");
  const isWorkspace = (name: string) => name.toLowerCase() === workspace.toLowerCase();
  const others = workspaces.filter((one) => !isWorkspace(one.workspace));
  const namesOfOthers = others.flatMap((one) => [one.workspace, one.credential ?? ""]).map(folded);
  return isWorkspace(credential) && !namesOfOthers.includes(folded(credential));
}

/** One text for all reasons: what secrets the mirror has is for its operator, in its log. */
function throwUnusable(error: unknown): never {
  if (!(error instanceof ConfigError || error instanceof NotFoundError)) throw error;
  throw new ConfigError(
    "the mirror cannot use this account: there is no such secret, Bitbucket rejects it, or shows no repository to it. The server's log says which",
    { cause: error },
  );
}

function planReplay(
  workspace: string,
  _form: URLSearchParams,
  { administration }: ActionContext,
): PlannedAction {
  return {
    async run() {
      if (administration.deadLetters === undefined) throw elsewhere(administration);
      await administration.deadLetters.replay(workspace);
    },
  };
}

function configurationOf(administration: Administration) {
  if (administration.configuration === undefined) throw elsewhere(administration);
  return administration.configuration;
}

function elsewhere(administration: Administration): ConfigError {
  return new ConfigError(`this page may not do that. ${administration.elsewhere ?? ""}`.trim());
}

/** @throws {ConfigError} A number of days that is none. */
export function selectionOf(
  form: URLSearchParams,
): Required<Omit<SelectionChange, "retentionDays">> & Pick<SelectionChange, "retentionDays"> {
  const retentionDays = daysOf(form);
  const projects = listOf(form, "projects");
  return {
    projects: projects.length === 1 && projects[0]?.toLowerCase() === "all" ? "all" : projects,
    include: listOf(form, "include"),
    exclude: listOf(form, "exclude"),
    publicRepositories: form.has("public"),
    ...(retentionDays !== undefined && { retentionDays }),
  };
}

function describeSelection({ projects, include, exclude, publicRepositories }: SelectionChange): string {
  const list = (items: readonly string[] = []) => (items.length === 0 ? "none" : items.join(", "));
  return `projects: ${projects === "all" ? "all" : list(projects)}; include: ${list(include)}; exclude: ${list(exclude)}; public: ${publicRepositories ? "mirrored" : "skipped"}`;
}

function listOf(form: URLSearchParams, field: string): string[] {
  return (form.get(field) ?? "").split(/[\s,]+/).filter((item) => item !== "");
}

function daysOf(form: URLSearchParams): number | undefined {
  const text = (form.get("retentionDays") ?? "").trim();
  if (text === "") return undefined;
  if (/^\d{1,4}$/.test(text) && Number(text) <= 3653) return Number(text);
  throw new ConfigError("the retention time is a number of days, from 0 to 3653");
}

/** Actions that have Bitbucket asked with an account of the mirror's. */
import { ConfigError, NotFoundError } from "../errors.ts";
import { connectedWorkspace, connectWorkspace, reconnectWorkspace } from "../mirror/change-workspaces.ts";
import { type MirrorConfig, mirrorConfigOf } from "../mirror/mirror-config.ts";
import { type ActionContext, configurationOf, type PlannedAction } from "./planned-action.ts";

export async function planReconnect(
  name: string,
  form: URLSearchParams,
  context: ActionContext,
): Promise<PlannedAction> {
  const { credential: used } = connectedWorkspace(await context.readConfig(), name);
  return withAccount(name, form, context, { used, change: reconnectWorkspace });
}

export function planConnect(
  name: string,
  form: URLSearchParams,
  context: ActionContext,
): Promise<PlannedAction> {
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

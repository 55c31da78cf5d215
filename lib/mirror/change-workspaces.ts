/** What people do to the workspaces of a configuration. Each makes a new configuration of the one that is there. */
import { ConfigError } from "../errors.ts";
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "./mirror-config.ts";

/**
 * A new workspace mirrors nothing until its selection says what. One that was removed comes back with its selection and what
 * is left of its data.
 * @param credential - Name of the account's secret; `undefined` for public repositories only.
 * @throws {ConfigError} It is connected with another account.
 */
export function connectWorkspace(
  config: MirrorConfig,
  name: string,
  credential: string | undefined,
): MirrorConfig {
  const before = findWorkspace(config, name);
  if (before === undefined) return { ...config, workspaces: [...config.workspaces, fresh(name, credential)] };
  if (before.removedAt !== undefined) {
    return changeWorkspace(config, name, ({ removedAt: _, ...one }) => withCredential(one, credential));
  }
  if (before.credential === credential) return config;
  throw new ConfigError(
    `${before.workspace} is connected with ${accountName(before.credential)}. To change that: nearside reconnect ${before.workspace}${credential === undefined ? "" : ` --credential ${credential}`}`,
  );
}

/** @throws {ConfigError} It is not connected, or removed. */
export function reconnectWorkspace(
  config: MirrorConfig,
  name: string,
  credential: string | undefined,
): MirrorConfig {
  connectedWorkspace(config, name);
  return changeWorkspace(config, name, (one) => withCredential(one, credential));
}

/** Fields that are absent stay as they are. */
export interface SelectionChange {
  readonly projects?: "all" | readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly publicRepositories?: boolean;
  readonly retentionDays?: number;
}

/** @throws {ConfigError} It is not connected, or removed. */
export function selectRepositories(
  config: MirrorConfig,
  name: string,
  { projects, include, exclude, ...others }: SelectionChange,
): MirrorConfig {
  connectedWorkspace(config, name);
  return changeWorkspace(config, name, (one) => ({
    ...one,
    ...others,
    ...(projects && { projects: projects === "all" ? projects : [...projects] }),
    ...(include && { include: [...include] }),
    ...(exclude && { exclude: [...exclude] }),
  }));
}

/** Paused, nothing is served or synchronized, and everything is kept. @throws {ConfigError} As `selectRepositories`. */
export function pauseWorkspace(config: MirrorConfig, name: string, isPaused: boolean): MirrorConfig {
  connectedWorkspace(config, name);
  return changeWorkspace(config, name, (one) => ({ ...one, disabled: isPaused }));
}

/**
 * Nothing is served from now on, and the data goes after the retention time. One that was removed before keeps its time.
 * @throws {ConfigError} It is not there.
 */
export function removeWorkspace(
  config: MirrorConfig,
  name: string,
  { at, retentionDays }: { readonly at: Date; readonly retentionDays?: number | undefined },
): MirrorConfig {
  if (findWorkspace(config, name) === undefined) throw notConnected(config, name);
  return changeWorkspace(config, name, (one) => ({
    ...one,
    removedAt: one.removedAt ?? at.toISOString(),
    // One that is paused is left alone, and its data would stay for ever.
    disabled: false,
    ...(retentionDays !== undefined && { retentionDays }),
  }));
}

/** @throws {ConfigError} It is not there, or removed. */
export function connectedWorkspace(config: MirrorConfig, name: string): MirroredWorkspace {
  const workspace = findWorkspace(config, name);
  if (workspace === undefined) throw notConnected(config, name);
  if (workspace.removedAt === undefined) return workspace;
  throw new ConfigError(
    `${workspace.workspace} was removed at ${workspace.removedAt}: connect it again first`,
  );
}

export function accountName(credential: string | undefined): string {
  return credential === undefined ? "no account" : `the account "${credential}"`;
}

function changeWorkspace(
  config: MirrorConfig,
  name: string,
  change: (workspace: MirroredWorkspace) => MirroredWorkspace,
): MirrorConfig {
  const isIt = (one: MirroredWorkspace) => one.workspace.toLowerCase() === name.toLowerCase();
  return { ...config, workspaces: config.workspaces.map((one) => (isIt(one) ? change(one) : one)) };
}

function withCredential(
  { credential: _before, ...others }: MirroredWorkspace,
  credential: string | undefined,
): MirroredWorkspace {
  return { ...others, ...(credential !== undefined && { credential }) };
}

function fresh(workspace: string, credential: string | undefined): MirroredWorkspace {
  return {
    workspace,
    ...(credential !== undefined && { credential }),
    projects: [],
    include: [],
    exclude: [],
    publicRepositories: true,
    disabled: false,
    retentionDays: 30,
  };
}

function notConnected({ workspaces }: MirrorConfig, name: string): ConfigError {
  const names = workspaces.map(({ workspace }) => workspace).join(", ");
  return new ConfigError(
    `${name} is not connected${names === "" ? "" : ` (${names} is)`}: connect it first, with "nearside connect ${name}"`,
    { ...(names === "" && { lacks: "workspace" }) },
  );
}

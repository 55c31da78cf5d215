/** An action of an administrator, between the form that asks for it and what is done. */
import { ConfigError } from "../errors.ts";
import type { MirrorConfig } from "../mirror/mirror-config.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { Administration } from "./ports.ts";

export interface ActionContext {
  readonly store: BlobStore;
  readonly administration: Omit<Administration, "administered">;
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
export type Plan = (
  workspace: string,
  form: URLSearchParams,
  context: ActionContext,
) => PlannedAction | Promise<PlannedAction>;

/** @throws {ConfigError} This process may not change what is mirrored. */
export function configurationOf({ configuration }: ActionContext["administration"]) {
  if (configuration === undefined) throw mayNot();
  return configuration;
}

export function mayNot(): ConfigError {
  return new ConfigError("this process may not do that");
}

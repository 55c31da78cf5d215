/** Whether Bitbucket accepts the account of a workspace. */
import { ConfigError, UpstreamError } from "../../lib/errors.ts";
import type { MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import type { BitbucketAccess } from "./bitbucket-access.ts";

/**
 * One request.
 * @returns The full name of a repository that it shows.
 * @throws {ConfigError} There is no such secret, or Bitbucket rejects it, or shows nothing to it.
 * @throws {NotFoundError} No such workspace. @throws {UpstreamError} Bitbucket cannot be asked.
 */
export async function tryAccount(
  workspace: MirroredWorkspace,
  { apiOf }: Pick<BitbucketAccess, "apiOf">,
): Promise<string> {
  const { workspace: name } = workspace;
  const api = await apiOf(workspace, (fetch) => fetch);
  try {
    for await (const { fullName } of api.repositories(name)) return fullName;
  } catch (error) {
    throw rejection(error, name);
  }
  throw new ConfigError(
    `Bitbucket shows no repository of ${name} to this account: check its rights and the name`,
  );
}

/** @returns What to throw in place of `error`. */
function rejection(error: unknown, name: string): unknown {
  const status = error instanceof UpstreamError ? error.context["status"] : undefined;
  if (status !== 401 && status !== 403) return error;
  return new ConfigError(
    `Bitbucket rejects the account for ${name}; it needs the scope read:repository:bitbucket, and must not have expired`,
    { cause: error },
  );
}

/** Checks an account with Bitbucket before it is written into the configuration. */
import { ConfigError, UpstreamError } from "../../lib/errors.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { bitbucketOf, type PrimaryOptions, print } from "./command-options.ts";

/**
 * One request.
 * @throws {ConfigError} There is no such secret, or Bitbucket rejects it.
 * @throws {NotFoundError} No such workspace. @throws {UpstreamError} Bitbucket cannot be asked.
 */
export async function tryAccount(
  name: string,
  credential: string | undefined,
  options: PrimaryOptions,
): Promise<void> {
  const { workspaces } = mirrorConfigOf([
    { workspace: name, projects: [], ...(credential !== undefined && { credential }) },
  ]);
  for (const workspace of workspaces) {
    const api = await bitbucketOf(options).apiOf(workspace, (fetch) => fetch);
    const [example] = await firstOf(api.repositories(name), name);
    if (example === undefined)
      throw new ConfigError(
        `Bitbucket shows no repository of ${name} to this account: check its rights and the name, or give --no-check`,
      );
    print(`Bitbucket accepts the account: it shows ${example.fullName}, for example.`);
  }
}

async function firstOf<T>(list: AsyncIterable<T>, name: string): Promise<T[]> {
  try {
    for await (const one of list) return [one];
    return [];
  } catch (error) {
    const status = error instanceof UpstreamError ? error.context["status"] : undefined;
    if (status !== 401 && status !== 403) throw error;
    throw new ConfigError(
      `Bitbucket rejects the account for ${name}; it needs the scope read:repository:bitbucket, and must not have expired`,
      { cause: error },
    );
  }
}

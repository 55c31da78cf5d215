/** What the command line says to mirror, as a configuration: the server stores it, see `storeOptionSelection`. */
import type { BitbucketAccount } from "../../lib/bitbucket/credential.ts";
import { type MirrorConfig, mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { ENVIRONMENT_CREDENTIAL } from "./account.ts";
import type { Arguments } from "./arguments.ts";

/**
 * @returns `undefined` if it names nothing.
 * @throws {ConfigError} A name that Bitbucket cannot have.
 */
export function argumentConfig(
  options: Pick<Arguments, "workspace" | "project" | "repository" | "publicRepositories">,
  account: BitbucketAccount,
): MirrorConfig | undefined {
  const { workspace, project, repository, publicRepositories } = options;
  const owners = new Map<string, { all: boolean; projects: string[]; include: string[] }>();
  const ownerOf = (name: string) => {
    const key = name.toLowerCase();
    const owner = owners.get(key) ?? { all: false, projects: [], include: [] };
    owners.set(key, owner);
    return owner;
  };
  for (const name of workspace) ownerOf(name).all = true;
  for (const [owner = "", key = ""] of project.map((name) => name.split("/")))
    ownerOf(owner).projects.push(key);
  for (const [owner = "", slug = ""] of repository.map((name) => name.split("/")))
    ownerOf(owner).include.push(slug);
  if (owners.size === 0) return undefined;
  return mirrorConfigOf(
    [...owners].map(([name, { all, projects, include }]) => ({
      workspace: name,
      projects: all ? "all" : projects,
      include,
      publicRepositories: publicRepositories === "mirror",
      ...(account.kind !== "none" && { credential: ENVIRONMENT_CREDENTIAL }),
    })),
  );
}

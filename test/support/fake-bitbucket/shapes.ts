/** Bitbucket's JSON objects, with the fields that clients are known to read. */
import type { Caller } from "./accounts.ts";
import { type CataloguedRepository, readRepositoryState, stableUuid } from "./catalogue.ts";

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Where the fake is reached; neither ends in a slash. */
export interface Addresses {
  readonly gitUrl: string;
  /** Ends in `/2.0`. */
  readonly apiUrl: string;
}

/** Bitbucket writes microseconds and a numeric zone. */
export function timestamp(date: Date): string {
  return date.toISOString().replace(/(\.\d{3})Z$/, "$1000+00:00");
}

export function userShape(name: string): Json {
  return {
    type: "user",
    uuid: `{${stableUuid("user", name)}}`,
    display_name: name,
    nickname: name,
    account_id: stableUuid("user", `account:${name}`),
  };
}

export function projectShape(workspace: string, key: string, { apiUrl, gitUrl }: Addresses): Json {
  return {
    type: "project",
    key,
    uuid: `{${stableUuid("project", `${workspace}/${key}`)}}`,
    name: key,
    links: {
      self: { href: `${apiUrl}/workspaces/${workspace}/projects/${key}` },
      html: { href: `${gitUrl}/${workspace}/workspace/projects/${key}` },
    },
  };
}

export function workspaceShape(workspace: string, { apiUrl, gitUrl }: Addresses): Json {
  return {
    type: "workspace",
    uuid: `{${stableUuid("workspace", workspace)}}`,
    name: workspace,
    slug: workspace,
    links: {
      self: { href: `${apiUrl}/workspaces/${workspace}` },
      html: { href: `${gitUrl}/${workspace}/` },
    },
  };
}

export interface RepositoryShape {
  readonly [key: string]: Json;
  readonly slug: string;
  readonly full_name: string;
  readonly size: number;
  readonly created_on: string;
  readonly updated_on: string;
}

/** @param caller - The https clone link names them, as on Bitbucket. */
export async function repositoryShape(
  repository: CataloguedRepository,
  addresses: Addresses,
  caller: Caller | undefined,
): Promise<RepositoryShape> {
  const { workspace, slug } = repository;
  const { apiUrl, gitUrl } = addresses;
  const fullName = `${workspace}/${slug}`;
  const state = await readRepositoryState(repository.folder);
  const cloneUrl = new URL(`${gitUrl}/${fullName}.git`);
  cloneUrl.username = caller?.name ?? "";
  return {
    type: "repository",
    uuid: `{${repository.uuid}}`,
    full_name: fullName,
    name: slug,
    slug,
    description: "",
    scm: "git",
    is_private: !repository.isPublic,
    size: state.sizeBytes,
    created_on: timestamp(state.createdAt),
    updated_on: timestamp(state.updatedAt),
    mainbranch: state.mainBranch === undefined ? null : { type: "branch", name: state.mainBranch },
    project: projectShape(workspace, repository.projectKey, addresses),
    workspace: workspaceShape(workspace, addresses),
    owner: userShape(workspace),
    parent: null,
    fork_policy: "allow_forks",
    links: {
      self: { href: `${apiUrl}/repositories/${fullName}` },
      html: { href: `${gitUrl}/${fullName}` },
      clone: [
        { name: "https", href: cloneUrl.href },
        { name: "ssh", href: `git@ssh.bitbucket.org:${fullName}.git` },
      ],
      hooks: { href: `${apiUrl}/repositories/${fullName}/hooks` },
    },
  };
}

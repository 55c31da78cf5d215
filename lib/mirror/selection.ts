/** Which repositories a configuration mirrors. */
import type { Serves } from "../repo/repository-catalog.ts";
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "./mirror-config.ts";

/** What the selection depends on. */
export interface SelectableRepository {
  readonly workspace: string;
  readonly slug: string;
  /** Absent where it is not known: then no project selects it. */
  readonly projectKey?: string | undefined;
  /** Absent where it is not known: then it counts as public and as private alike. */
  readonly isPrivate?: boolean | undefined;
}

/** Whether it is served and kept in step: selected, in a workspace that is neither disabled nor removed. */
export function isMirrored(config: MirrorConfig, repository: SelectableRepository): boolean {
  const workspace = findWorkspace(config, repository.workspace);
  return workspace !== undefined && isActive(workspace) && selects(workspace, repository);
}

export function isActive({ disabled, removedAt }: MirroredWorkspace): boolean {
  return !disabled && removedAt === undefined;
}

/** Whether the workspace's selection names it, be the workspace active or not. */
export function selects(workspace: MirroredWorkspace, repository: SelectableRepository): boolean {
  const { projects, include, exclude, publicRepositories, credential } = workspace;
  const { projectKey, isPrivate } = repository;
  if (isPrivate !== true && !publicRepositories) return false;
  if (isPrivate === true && credential === undefined) return false;
  if (exclude.some((pattern) => matches(pattern, repository))) return false;
  if (projects === "all") return true;
  const key = projectKey?.toUpperCase();
  return (
    projects.some((project) => project.toUpperCase() === key) ||
    include.some((pattern) => matches(pattern, repository))
  );
}

function matches(pattern: string, { slug, projectKey }: SelectableRepository): boolean {
  const slash = pattern.indexOf("/");
  if (slash < 0) return matchesGlob(pattern, slug);
  return (
    pattern.slice(0, slash).toUpperCase() === projectKey?.toUpperCase() &&
    matchesGlob(pattern.slice(slash + 1), slug)
  );
}

/** Without regard to case, as Bitbucket compares. Goes back to the last `*` only, so it takes no more than length times length. */
export function matchesGlob(pattern: string, text: string): boolean {
  const wanted = pattern.toLowerCase();
  const given = text.toLowerCase();
  let at = 0;
  let star = -1;
  let starMatchEnd = 0;
  for (let index = 0; index < given.length; ) {
    if (wanted[at] === "*") {
      star = at++;
      starMatchEnd = index;
    } else if (at < wanted.length && (wanted[at] === "?" || wanted[at] === given[index])) {
      at++;
      index++;
    } else if (star >= 0) {
      at = star + 1;
      index = ++starMatchEnd;
    } else return false;
  }
  return /^\**$/.test(wanted.slice(at));
}

/** For a catalog: what the configuration says at the time of each request is served. */
export function servesBy(readConfig: () => Promise<MirrorConfig>): () => Promise<Serves> {
  return async () => {
    const config = await readConfig();
    return (record) => isMirrored(config, record);
  };
}

/** What is there: `<folder>/<workspace>/<slug>.git`, looked up anew for each request. */
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Accounts, repositorySettings } from "./accounts.ts";

export interface CataloguedRepository {
  readonly workspace: string;
  readonly slug: string;
  /** Lower case, without braces. */
  readonly uuid: string;
  readonly folder: string;
  readonly isPublic: boolean;
  readonly projectKey: string;
}

const DEFAULT_PROJECT_KEY = "MAIN";

/** The same for the same name, whatever its case. */
export function stableUuid(kind: "repository" | "project" | "workspace" | "user", name: string): string {
  const hex = createHash("sha256").update(`${kind}:${name.toLowerCase()}`).digest("hex");
  const groups = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return groups.join("-");
}

/** `workspace`: a name in any case, or a uuid in braces. */
export function isWorkspace(asked: string, workspace: string): boolean {
  return (
    asked.toLowerCase() === workspace.toLowerCase() ||
    asked.toLowerCase() === `{${stableUuid("workspace", workspace)}}`
  );
}

export async function listWorkspaces(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}

/** In order of name. `workspace` as in {@link isWorkspace}. */
export async function listRepositories(
  root: string,
  workspace: string,
  accounts: Accounts,
): Promise<CataloguedRepository[]> {
  const name = (await listWorkspaces(root)).find((candidate) => isWorkspace(workspace, candidate));
  if (name === undefined) return [];
  const entries = await readdir(join(root, name));
  return entries
    .filter((entry) => entry.endsWith(".git"))
    .sort()
    .map((entry) => {
      const slug = entry.slice(0, -".git".length);
      const settings = repositorySettings(accounts, name, slug);
      return {
        workspace: name,
        slug,
        uuid: (settings.uuid ?? stableUuid("repository", `${name}/${slug}`)).toLowerCase(),
        folder: join(root, name, entry),
        isPublic: settings.public ?? false,
        projectKey: settings.project ?? DEFAULT_PROJECT_KEY,
      };
    });
}

/** @param slug - A name in any case, or a uuid in braces. */
export async function findRepository(
  root: string,
  workspace: string,
  slug: string,
  accounts: Accounts,
): Promise<CataloguedRepository | undefined> {
  const wanted = slug.toLowerCase();
  const repositories = await listRepositories(root, workspace, accounts);
  return repositories.find(({ slug, uuid }) => slug.toLowerCase() === wanted || `{${uuid}}` === wanted);
}

/** @returns The repository that had this name before it was renamed, unless another has it now. */
export async function findRenamed(
  root: string,
  workspace: string,
  slug: string,
  accounts: Accounts,
): Promise<CataloguedRepository | undefined> {
  const name = `${workspace}/${slug}`.toLowerCase();
  for (const [current, { formerNames = [] }] of Object.entries(accounts.repositories)) {
    if (!formerNames.some((former) => former.toLowerCase() === name)) continue;
    const [owner = "", ownSlug = ""] = current.split("/");
    return findRepository(root, owner, ownSlug, accounts);
  }
  return undefined;
}

/** git makes lock files and removes them at any time. */
function asGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

export interface RepositoryState {
  readonly sizeBytes: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** The branch HEAD names, if it exists. */
  readonly mainBranch: string | undefined;
}

export async function readRepositoryState(folder: string): Promise<RepositoryState> {
  let sizeBytes = 0;
  let updatedAtMs = 0;
  let packedRefs = "";
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const status = await stat(path).catch(asGone);
    if (status === undefined) continue;
    const { size, mtimeMs } = status;
    sizeBytes += size;
    updatedAtMs = Math.max(updatedAtMs, mtimeMs);
    if (path === join(folder, "packed-refs")) packedRefs = await readFile(path, "utf8");
  }
  const head = /^ref: (refs\/heads\/(.*))$/m.exec(await readFile(join(folder, "HEAD"), "utf8"));
  const loose = entries.some((entry) => join(entry.parentPath, entry.name) === join(folder, head?.[1] ?? ""));
  const exists = head !== null && (loose || packedRefs.includes(` ${head[1]}\n`));
  const { birthtime } = await stat(folder);
  return {
    sizeBytes,
    createdAt: birthtime,
    updatedAt: new Date(updatedAtMs),
    mainBranch: exists ? head[2] : undefined,
  };
}

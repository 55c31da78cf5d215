/** From the name a caller gave to what the primary is asked about, and to what is served. */
import type { WholeBlobs } from "../store/blob-store.ts";
import { isBracedUuid, type RepositoryUuid } from "./layout.ts";
import { type NameEntry, type RepositoryReference, readName, readProjectName } from "./names.ts";
import { readNamedRecord } from "./repository-record.ts";

export interface ResolvedRepository {
  /** Which repository the name means here. */
  readonly uuid: RepositoryUuid;
  /** Of the repository below the primary's git address, lower case. */
  readonly primaryPath: string;
  /** The same by its uuid, which no other repository can take; absent where the primary is not known to have it there. */
  readonly uuidPath?: string;
  /** The repository has another name by now. */
  readonly isFormer: boolean;
  /** Everyone may read it, as far as the last sync knows. */
  readonly isPublic: boolean;
  /** The name is reserved: the first sync is not done, and there is nothing to be read. */
  readonly isReserved?: true;
}

/** One request of the store, whatever the name. @returns `undefined` if nothing is mirrored under it. */
export async function resolveRepository(
  store: WholeBlobs,
  asked: RepositoryReference,
): Promise<ResolvedRepository | undefined> {
  switch (asked.kind) {
    case "name": {
      const entry = await readName(store, asked.workspace, asked.slug);
      return entry && resolved(asked, entry);
    }
    case "uuid": {
      const record = await readNamedRecord(store, asked.uuid);
      const primaryPath = namedPath(asked);
      return record && { uuid: asked.uuid, primaryPath, isPublic: !record.isPrivate, isFormer: false };
    }
    case "project": {
      const entry = await readProjectName(store, asked.projectKey, asked.slug);
      return entry && resolved({ kind: "name", ...entry }, { ...entry, isFormer: false });
    }
  }
}

function resolved(
  name: Extract<RepositoryReference, { kind: "name" }>,
  { uuid, isPublic, isFormer, isReserved, foundBy }: NameEntry,
): ResolvedRepository {
  return {
    ...{ uuid, primaryPath: namedPath(name), isPublic, isFormer },
    ...(isReserved && { isReserved }),
    ...(foundBy === "uuid" && { uuidPath: uuidPath(name.workspace, uuid) }),
  };
}

/** What the primary is asked about where the name says it, and where nothing better is known. */
export function namedPath(asked: RepositoryReference): string {
  switch (asked.kind) {
    case "name":
      return `${asked.workspace}/${asked.slug}`.toLowerCase();
    case "uuid":
      return uuidPath(asked.workspace, asked.uuid);
    case "project":
      return `${asked.projectKey}/${asked.slug}`.toLowerCase();
  }
}

function uuidPath(workspace: string, uuid: RepositoryUuid): string {
  return `${workspace}/{${uuid}}`.toLowerCase();
}

/**
 * Which repository a caller gets who may read what the primary has under the name.
 * A former name counts only if the primary, too, takes it for the repository, and a redirect of the primary's to what is
 * another repository here leads nowhere: a caller who may read that one must not get this one.
 * @param finalPath - Where the primary found it, after redirects.
 * @returns `undefined` if it is not mirrored.
 */
export async function readServedUuid(
  store: WholeBlobs,
  asked: RepositoryReference,
  finalPath: string | undefined,
): Promise<RepositoryUuid | undefined> {
  if (asked.kind === "uuid") {
    const record = await readNamedRecord(store, asked.uuid);
    return record && asked.uuid;
  }
  const [, foundAs = ""] = finalPath?.split("/") ?? [];
  if (asked.kind === "project") {
    const entry = await readProjectName(store, asked.projectKey, asked.slug);
    if (entry === undefined) return undefined;
    if (isBracedUuid(foundAs)) return foundAs === `{${entry.uuid}}` ? entry.uuid : undefined;
    const { workspace, slug } = entry;
    const uuid = await readServedUuid(store, { kind: "name", workspace, slug }, finalPath);
    return uuid === entry.uuid ? uuid : undefined;
  }
  const entry = await readName(store, asked.workspace, asked.slug);
  if (entry === undefined || entry.isReserved) return undefined;
  if (isBracedUuid(foundAs)) return foundAs === `{${entry.uuid}}` ? entry.uuid : undefined;
  if (!entry.isFormer && (finalPath === undefined || finalPath === namedPath(asked))) return entry.uuid;
  const [workspace = "", slug = ""] = finalPath?.split("/") ?? [];
  const current = await readName(store, workspace, slug);
  // Renamed since the last sync: nothing is known of its new name.
  if (current === undefined) return entry.isFormer ? undefined : entry.uuid;
  return !current.isFormer && !current.isReserved && current.uuid === entry.uuid ? entry.uuid : undefined;
}

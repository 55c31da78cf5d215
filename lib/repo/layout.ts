/**
 * All keys of a repository in the store.
 * The keys below `repos/<uuid>/` also form a valid bare git repository when copied to a disk.
 */
import { ConfigError } from "../errors.ts";
import { HISTORY_VERSION } from "../git/history/pack-history.ts";
import { NEWEST_VERSION } from "../git/recent/newest-entries.ts";
import { RECENT_VERSION } from "../git/recent/recent-objects.ts";

/** Bitbucket's repository uuid, lower case, without braces: a repository's identity, whatever its name. */
export type RepositoryUuid = string;

const UUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @param text - A uuid, with or without Bitbucket's braces.
 * @throws {ConfigError} It is not one.
 */
export function parseRepositoryUuid(text: string): RepositoryUuid {
  const uuid = text.replace(/^\{(.*)\}$/, "$1").toLowerCase();
  if (!UUID_PATTERN.test(uuid)) throw new ConfigError("not a repository uuid", { text: text.slice(0, 80) });
  return uuid;
}

/** Whether it is a uuid as this project writes them. */
export function isRepositoryUuid(text: string): text is RepositoryUuid {
  return UUID_PATTERN.test(text);
}

/** As Bitbucket writes uuids in addresses. */
export function isBracedUuid(text: string): boolean {
  return /^\{.*\}$/.test(text) && UUID_PATTERN.test(text.slice(1, -1).toLowerCase());
}

/** What is mirrored; see lib/mirror/mirror-config.ts. */
export const CONFIG_KEY = "config.json";
/** The bytes of the last valid one, for processes that start while the file is not valid. */
export const LAST_VALID_CONFIG_KEY = "config.last-valid.json";

export type RepositoryKeys = ReturnType<typeof repositoryKeys>;

export function repositoryKeys(uuid: RepositoryUuid) {
  /** Ends in `/`, as all folders do. */
  const prefix = `repos/${uuid}/`;
  const refSnapshotFolder = `${prefix}ref-snapshots/`;
  const packFolder = `${prefix}objects/pack/`;
  const recentFolder = `${prefix}recent-${RECENT_VERSION}/`;
  const lfsTableFolder = `${prefix}lfs/`;
  /** May be deleted at any time. */
  const cacheFolder = `${prefix}cache/`;
  // A bucket's rule that removes them goes by how keys begin; see infra/storage-stack.ts.
  const answerFolder = `answers/${uuid}/`;
  /** The JSON documents, whose names are used again: removed, they leave a tombstone (see stored-document.ts). */
  const documents = {
    manifest: `${prefix}manifest.json`,
    /** What it is called at the primary, and how its mirroring goes; see repository-record.ts. */
    record: `${prefix}repository.json`,
    janitorNotes: `${prefix}janitor.json`,
    /** What a first sync has so far that goes in slices; see import-notes.ts. */
    importNotes: `${prefix}import.json`,
    /** Which files of git-lfs the repository may hand out; see stored-lfs-rights.ts. */
    lfsRights: `${prefix}lfs.json`,
    bundleList: `${cacheFolder}bundles.json`,
  };
  return {
    ...documents,
    documents: Object.values(documents),
    prefix,
    /** As the next two, for copies of the prefix. */
    head: `${prefix}HEAD`,
    packedRefs: `${prefix}packed-refs`,
    /** git asks for a `refs` folder and skips `*.lock` files in it; an object store has no empty folders. */
    refsFolderMark: `${prefix}refs/folder.lock`,
    /** Time of the last push event; see push-marker.ts. */
    pushMarker: `${prefix}announced`,
    refSnapshotFolder,
    packFolder,
    refSnapshot: (snapshotId: string) => `${refSnapshotFolder}${snapshotId}`,
    pack: (packId: string) => `${packFolder}pack-${packId}.pack`,
    packIndex: (packId: string) => `${packFolder}pack-${packId}.idx`,
    /** A new form (lib/git/history/pack-history.ts) gets a key of its own, so two releases keep each other's files. */
    packHistory: (packId: string) => `${packFolder}pack-${packId}.history-${HISTORY_VERSION}`,
    /** The pointers of git-lfs in the pack; see lib/git/pack/lfs-pointers.ts. */
    packLfs: (packId: string) => `${packFolder}pack-${packId}.lfs-1`,
    /** Entries of the pack's newest objects; see stored-newest.ts. */
    packNewest: (packId: string) => `${packFolder}pack-${packId}.newest-${NEWEST_VERSION}`,
    recentFolder,
    /** Where the release before kept them. */
    formerRecentFolder: `${prefix}recent-1/`,
    /** See stored-recent.ts. */
    recent: (subject: string) => `${recentFolder}${subject}`,
    lfsTableFolder,
    lfsTable: (tableId: string) => `${lfsTableFolder}${tableId}`,
    cacheFolder,
    bundle: (bundleId: string) => `${cacheFolder}bundle-${bundleId}.bundle`,
    answerFolder,
    /** Where earlier releases kept answers; the janitor removes them. */
    formerAnswerFolder: `${cacheFolder}answers/`,
    answer: (answerKey: string) => `${answerFolder}${answerKey}`,
  };
}

/** Of all files of git-lfs, whatever the repository; ends in `/`. */
export const LFS_FILE_FOLDER = "lfs/";

/** @param oid - SHA-256 of the file: 64 hex digits, lower case. */
export function lfsFileKey(oid: string): string {
  return `${LFS_FILE_FOLDER}${oid.slice(0, 2)}/${oid.slice(2, 4)}/${oid}`;
}

/** What is staged of large files; ends in `/`. */
export const LFS_PART_FOLDER = "lfs-parts/";

/** What is staged of one file; ends in `/`. */
export function lfsPartFolder(oid: string): string {
  return `${LFS_PART_FOLDER}${oid}/`;
}

/**
 * Where a name points to its repository's uuid. Bitbucket compares names without regard to case.
 * @param workspace, slug - Already checked to be one path segment each.
 */
export function nameKey(workspace: string, slug: string): string {
  return `names/${workspace.toLowerCase()}/${slug.toLowerCase()}.json`;
}

/** The same for the names that Smart Mirroring had: a project's key and a slug. */
export function projectNameKey(projectKey: string, slug: string): string {
  return `projects/${projectKey.toLowerCase()}/${slug.toLowerCase()}.json`;
}

/** What is known of a workspace's repositories; see lib/mirror/workspace-index.ts. */
export function workspaceIndexKey(workspace: string): string {
  return `workspaces/${workspace.toLowerCase()}.json`;
}

/** What jobs found out for reconcile; see lib/mirror/job-findings.ts. */
export function findingPrefix(workspace: string): string {
  return `findings/${workspace.toLowerCase()}/`;
}

/** Marks the repositories of a workspace whose last sync failed, or first one is not done: so they are found without reading all others. */
export function failurePrefix(workspace: string): string {
  return `failures/${workspace.toLowerCase()}/`;
}

/** What administrators of a workspace did; see lib/mirror/admin-log.ts. */
export function adminLogKey(workspace: string): string {
  return `admin-log/${workspace.toLowerCase()}.json`;
}

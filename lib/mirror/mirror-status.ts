/** How the whole mirror is, out of what the store says: its workspaces, and each repository that is or was mirrored. */
import { NewerReleaseError } from "../errors.ts";
import { inBatches } from "../in-batches.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { type Manifest, manifestDocument } from "../repo/manifest.ts";
import { type RepositoryRecord, repositoryDocument } from "../repo/repository-record.ts";
import type { Stored, StoredDocument } from "../repo/stored-document.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { readFindings } from "./job-findings.ts";
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "./mirror-config.ts";
import { isActive, isMirrored } from "./selection.ts";
import {
  type IndexedRepository,
  indexedWorkspaces,
  readWorkspaceIndex,
  type WorkspaceIndex,
} from "./workspace-index.ts";

export interface RepositoryStatus
  extends Pick<RepositoryRecord, "workspace" | "slug" | "projectKey" | "isPrivate">,
    Pick<RepositoryRecord, "state" | "firstSyncAt" | "lastSyncAt" | "failedSyncCount" | "lastError"> {
  readonly uuid: RepositoryUuid;
  /** Whether the configuration lets it be served, once it is here. */
  readonly isSelected: boolean;
  /** Oldest first. */
  readonly recentSyncs: NonNullable<RepositoryRecord["recentSyncs"]>;
  /** Absent until something was published. */
  readonly published: PublishedStatus | undefined;
  /** Why its record or its manifest cannot be read. What they say is absent then. */
  readonly damage: string | undefined;
  /** Bitbucket does not show a selected repository to the account. Absent while it does. */
  readonly noAccess: NoAccess | undefined;
}

/** A right is missing, or the repository was deleted: Bitbucket answers both alike. */
export interface NoAccess {
  readonly since: string;
  /** As of its last sync, until complete lists confirm that Bitbucket does not show it. */
  readonly isServed: boolean;
  /** An event of Bitbucket's, or the operator, says that it was deleted. */
  readonly isDeleted: boolean;
  /** Of one that is not served: when its data is deleted, unless Bitbucket shows it again. */
  readonly keptUntil: string | undefined;
}

interface PublishedStatus {
  readonly generation: number;
  /** HEAD's branch, without `refs/heads/`; absent where HEAD is a commit. */
  readonly defaultBranch: string | undefined;
  readonly refCount: number;
  /** Of its packs. */
  readonly packBytes: number;
  readonly publishedAt: string;
  readonly verifiedAt: string;
}

export interface WorkspaceStatus {
  readonly workspace: string;
  /** `unlisted`: not in config.json; a mirror that got it as an argument has left it in the store. */
  readonly mode: "active" | "paused" | "removed" | "unlisted";
  readonly credential: string | undefined;
  /** When Bitbucket last gave a complete list of its repositories. */
  readonly listedAt: string | undefined;
  /** Many repositories vanished from that list at once; they are served until it has lasted. */
  readonly removalsHeld: WorkspaceIndex["removalsHeld"];
  /** How many repositories Bitbucket has listed. */
  readonly knownCount: number;
  /** Selected by their whole name, under which Bitbucket lists nothing: misspelt, renamed, or no right to read. */
  readonly neverListed: readonly string[];
  /** In the order of their names. */
  readonly repositories: readonly RepositoryStatus[];
}

/** Whether the operator has to look: it was not deleted, as far as is known. */
export function hasLostAccess({ noAccess }: RepositoryStatus): boolean {
  return noAccess?.isDeleted === false;
}

/** What lists and jobs have found of a repository. */
type Found = Partial<
  Pick<IndexedRepository, "isGone" | "isDeleted" | "unlisted" | "seenAt"> & {
    /** A job did not find it, and no list was read since. */
    readonly unseenSince: string | undefined;
    readonly retentionDays: number | undefined;
  }
>;

const DAY_MS = 86_400_000;

/** Reads at a time; two for each repository. */
const CONCURRENT_READS = 32;

/**
 * @param only - One workspace; all of them unless given.
 * @throws {ConfigError} The store is of a newer release.
 */
export async function readMirrorStatus(
  store: BlobStore,
  config: MirrorConfig,
  only?: string,
): Promise<WorkspaceStatus[]> {
  const names = new Map(config.workspaces.map(({ workspace }) => [workspace.toLowerCase(), workspace]));
  for await (const name of indexedWorkspaces(store)) if (!names.has(name)) names.set(name, name);
  const statuses: WorkspaceStatus[] = [];
  for (const [key, name] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const isWanted = only === undefined || only.toLowerCase() === key;
    const status = isWanted ? await statusOf(store, config, name) : undefined;
    if (status !== undefined) statuses.push(status);
  }
  return statuses;
}

/** @returns `undefined` for a workspace that was removed, with all its data. */
async function statusOf(
  store: BlobStore,
  config: MirrorConfig,
  name: string,
): Promise<WorkspaceStatus | undefined> {
  const workspace = findWorkspace(config, name);
  const { value: index } = await readWorkspaceIndex(store, name);
  if (workspace === undefined && index === undefined) return undefined;
  const known = Object.entries(index?.repositories ?? {});
  const held = known.filter(([, { held: how }]) => how !== undefined);
  const { unseen, deleted } = await readFindings(store, name);
  const repositories = await inBatches(held, CONCURRENT_READS, ([uuid, entry]) =>
    repositoryStatus(store, config, name, uuid, {
      ...{ ...entry, unseenSince: unseen.get(uuid) },
      ...(deleted.has(uuid) && { isDeleted: true }),
    }),
  );
  return {
    workspace: name,
    mode: modeOf(workspace),
    credential: workspace?.credential,
    listedAt: index?.listedAt,
    removalsHeld: index?.removalsHeld,
    knownCount: known.length,
    neverListed:
      index?.listedAt === undefined
        ? []
        : neverListed(
            workspace,
            known.map(([, { slug }]) => slug),
          ),
    repositories: repositories.sort((a, b) => (a.slug < b.slug ? -1 : 1)),
  };
}

function modeOf(workspace: MirroredWorkspace | undefined): WorkspaceStatus["mode"] {
  if (workspace === undefined) return "unlisted";
  if (workspace.removedAt !== undefined) return "removed";
  return workspace.disabled ? "paused" : "active";
}

function repositoryStatus(
  store: BlobStore,
  config: MirrorConfig,
  workspace: string,
  uuid: RepositoryUuid,
  found: IndexedRepository & Found,
): Promise<RepositoryStatus> {
  const { slug, projectKey, isPrivate, held } = found;
  const one = findWorkspace(config, workspace);
  const isSelected = one
    ? isMirrored(config, { workspace, slug, projectKey, isPrivate })
    : held === "mirrored";
  const named = { uuid, workspace, slug, projectKey, isPrivate, isSelected };
  return readRepositoryStatus(store, named, { ...found, retentionDays: one?.retentionDays });
}

/** Whole names that the selection has, without those that Bitbucket has listed. */
function neverListed(workspace: MirroredWorkspace | undefined, slugs: readonly string[]): string[] {
  if (workspace === undefined || !isActive(workspace)) return [];
  const known = new Set(slugs.map((slug) => slug.toLowerCase()));
  return workspace.include.filter((name) => !/[*?/]/.test(name) && !known.has(name.toLowerCase()));
}

/**
 * Two requests, at once.
 * @param listed - What the index says. @throws {ConfigError} The store is of a newer release.
 */
export async function readRepositoryStatus(
  store: BlobStore,
  listed: Pick<RepositoryStatus, "uuid" | "workspace" | "slug" | "projectKey" | "isPrivate" | "isSelected">,
  found: Found = {},
): Promise<RepositoryStatus> {
  const { uuid, workspace, slug, projectKey, isPrivate, isSelected } = listed;
  const [{ value: record, damage: recordDamage }, { value: manifest, damage: manifestDamage }] =
    await Promise.all([
      readIfPossible(repositoryDocument(store, uuid)),
      readIfPossible(manifestDocument(store, uuid)),
    ]);
  return {
    ...{ uuid, workspace, slug, projectKey, isPrivate, isSelected },
    state: record?.state ?? "NOT_MIRRORED",
    firstSyncAt: record?.firstSyncAt,
    lastSyncAt: record?.lastSyncAt,
    failedSyncCount: record?.failedSyncCount ?? 0,
    lastError: record?.lastError,
    recentSyncs: record?.recentSyncs ?? [],
    published: manifest && publishedStatus(manifest),
    damage: (recordDamage ?? manifestDamage)?.message,
    noAccess: isSelected ? noAccessOf(record, manifest, found) : undefined,
  };
}

function noAccessOf(
  record: RepositoryRecord | undefined,
  manifest: Manifest | undefined,
  { isGone, isDeleted, unlisted, seenAt, unseenSince, retentionDays }: Found,
): NoAccess | undefined {
  // A job of an event withdraws before a list does.
  const withdrawnAt = record?.isNamed ? undefined : record?.removedAt;
  const isSeenSince =
    unseenSince !== undefined && manifest !== undefined && manifest.verifiedAt > unseenSince;
  const listedUntil = unlisted?.since ?? (isSeenSince ? undefined : unseenSince) ?? withdrawnAt;
  const since = listedUntil ?? (isGone ? seenAt : undefined);
  if (since === undefined) return undefined;
  const keptUntil =
    record?.removedAt === undefined || retentionDays === undefined
      ? undefined
      : new Date(Date.parse(record.removedAt) + retentionDays * DAY_MS).toISOString();
  return { since, isServed: record?.isNamed === true, isDeleted: isDeleted === true, keptUntil };
}

/** One that cannot be read hides no other repository. */
async function readIfPossible<Value extends object>(
  document: StoredDocument<Value>,
): Promise<Pick<Stored<Value>, "value" | "damage">> {
  try {
    return await document.readForChange();
  } catch (error) {
    if (error instanceof NewerReleaseError) return { value: undefined, damage: error };
    throw error;
  }
}

function publishedStatus(manifest: Manifest): PublishedStatus {
  const { generation, head, refs, packs, publishedAt, verifiedAt } = manifest;
  const packBytes = packs.reduce((sum, pack) => sum + pack.packBytes, 0);
  const branch = "ref" in head && /^refs\/heads\/(.+)$/.exec(head.ref)?.[1];
  // Names in git are bytes.
  const defaultBranch = branch ? Buffer.from(branch, "latin1").toString("utf8") : undefined;
  return { generation, defaultBranch, refCount: refs.refCount, packBytes, publishedAt, verifiedAt };
}

/**
 * Keeps `names/` and `projects/` in line with the repositories' records. Every change of an entry, also its removal, is made by
 * compare-and-swap and decided by what the entry says: so jobs of two repositories that swap names never remove each other's.
 */
import { isUnreadableDocument } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { nameKey, type RepositoryUuid } from "./layout.ts";
import { type NameEntry, nameDocument, type ProjectNameEntry, projectNameDocument } from "./names.ts";
import {
  projectKeyOf,
  type RepositoryNames,
  type RepositoryRecord,
  repositoryDocument,
} from "./repository-record.ts";
import { NO_DOCUMENT, type Stored, UNCHANGED } from "./stored-document.ts";

export interface NameConflicts {
  /** The primary has given the name to another repository since it said what the record has. */
  readonly isNameTaken: boolean;
  /** Project keys are one workspace's own, and another workspace may have the same: the first one keeps the name. */
  readonly isProjectNameTaken: boolean;
}

/**
 * Writes what is missing or different. One read where nothing is.
 * @param all - Whether to look at former names and names by project, too.
 */
export async function indexNames(
  store: BlobStore,
  uuid: RepositoryUuid,
  record: RepositoryRecord,
  { all }: { readonly all: boolean },
): Promise<NameConflicts> {
  if (!record.isNamed) {
    await removeNames(store, uuid, record);
    return { isNameTaken: false, isProjectNameTaken: false };
  }
  const [isNameTaken, isProjectNameTaken] = await Promise.all([
    takeName(store, uuid, record),
    all && takeProjectName(store, uuid, record),
    ...(all ? record.formerNames.map((names) => keepFormerNames(store, uuid, record, names)) : []),
  ]);
  return { isNameTaken, isProjectNameTaken };
}

/** Reserves a name for a repository that is going to be mirrored; does nothing if the name leads to one. */
export async function reserveName(
  store: BlobStore,
  uuid: RepositoryUuid,
  {
    workspace,
    slug,
    isPrivate,
    seenAt,
  }: Pick<RepositoryRecord, "workspace" | "slug" | "isPrivate" | "seenAt">,
): Promise<void> {
  const reserved = {
    uuid,
    seenAt,
    isPublic: !isPrivate,
    isFormer: false,
    foundBy: "unknown",
    isReserved: true,
  } as const;
  // Nearly always there is none: so it costs one request.
  await nameDocument(store, workspace, slug).change((entry) => entry ?? reserved, NO_DOCUMENT);
}

/** The repository is not going to be mirrored under this name. */
export async function releaseReservedName(
  store: BlobStore,
  uuid: RepositoryUuid,
  { workspace, slug }: Pick<RepositoryNames, "workspace" | "slug">,
): Promise<void> {
  await nameDocument(store, workspace, slug).change((entry) =>
    entry?.isReserved && entry.uuid === uuid ? undefined : UNCHANGED,
  );
}

/** The primary says that `uuid` has this name. If the name leads to another repository here, it leads nowhere from now on. */
export async function releaseName(
  store: BlobStore,
  uuid: RepositoryUuid,
  { workspace, slug, seenAt }: Pick<RepositoryRecord, "workspace" | "slug" | "seenAt">,
): Promise<void> {
  await nameDocument(store, workspace, slug).change((entry) =>
    entry !== undefined && entry.uuid !== uuid && mayReplace(entry, seenAt) ? undefined : UNCHANGED,
  );
}

/** @returns Whether another repository has the name by a newer answer of the primary. */
async function takeName(store: BlobStore, uuid: RepositoryUuid, record: RepositoryRecord): Promise<boolean> {
  const { workspace, slug, seenAt } = record;
  const taken = { uuid, seenAt, ...flagsOf(record), isFormer: false };
  const { value } = await nameDocument(store, workspace, slug).change((entry) => {
    if (entry?.uuid === uuid) return isSameEntry(entry, taken) ? UNCHANGED : taken;
    return entry === undefined || mayReplace(entry, seenAt) ? taken : UNCHANGED;
  });
  return value?.uuid !== uuid;
}

/** @returns Whether another repository keeps the name. */
async function takeProjectName(
  store: BlobStore,
  uuid: RepositoryUuid,
  record: RepositoryRecord,
): Promise<boolean> {
  const { workspace, slug, projectKey, seenAt } = record;
  if (projectKey === undefined) return false;
  const taken: ProjectNameEntry = { uuid, seenAt, ...flagsOf(record), workspace, slug };
  const { value } = await projectNameDocument(store, projectKey, slug).change(async (entry) => {
    if (entry === undefined) return taken;
    if (entry.uuid === uuid) return { ...taken, seenAt: entry.seenAt };
    return (await hasProjectName(store, entry.uuid, record)) ? UNCHANGED : taken;
  });
  return value?.uuid !== uuid;
}

async function hasProjectName(
  store: BlobStore,
  uuid: RepositoryUuid,
  names: RepositoryNames,
): Promise<boolean> {
  try {
    const { value } = await repositoryDocument(store, uuid).readForChange();
    return value?.isNamed === true && projectKeyOf(value) === projectKeyOf(names);
  } catch (error) {
    if (!isUnreadableDocument(error)) throw error;
    return true;
  }
}

async function keepFormerNames(
  store: BlobStore,
  uuid: RepositoryUuid,
  record: RepositoryRecord,
  former: RepositoryNames,
): Promise<void> {
  const { workspace, slug, projectKey } = former;
  const { seenAt } = record;
  const keepName = async () => {
    const kept: NameEntry = { uuid, seenAt, ...flagsOf(record), isFormer: true };
    await nameDocument(store, workspace, slug).change((entry, stored) => {
      if (entry === undefined) return isLost(stored) ? kept : UNCHANGED;
      const isNew = entry.uuid === uuid && !isSameEntry(entry, kept);
      return isNew ? { ...kept, seenAt: entry.seenAt } : UNCHANGED;
    });
  };
  const keepProjectName = async (key: string) => {
    const kept: ProjectNameEntry = { uuid, seenAt, ...flagsOf(record), workspace, slug };
    await projectNameDocument(store, key, slug).change((entry, stored) => {
      if (entry === undefined) return isLost(stored) ? kept : UNCHANGED;
      return entry.uuid === uuid ? { ...kept, seenAt: entry.seenAt } : UNCHANGED;
    });
  };
  const isName = nameKey(workspace, slug) === nameKey(record.workspace, record.slug);
  const isProjectName = projectKeyOf(former) === projectKeyOf(record);
  await Promise.all([
    !isName && keepName(),
    projectKey !== undefined && !isProjectName && keepProjectName(projectKey),
  ]);
}

async function removeNames(store: BlobStore, uuid: RepositoryUuid, record: RepositoryRecord): Promise<void> {
  // A damaged entry may be its own. If it was another's, that one's next job writes it again.
  const removeOwn = (entry: { readonly uuid: string } | undefined) =>
    entry === undefined || entry.uuid === uuid ? undefined : UNCHANGED;
  await Promise.all(
    [record, ...record.formerNames].flatMap(({ workspace, slug, projectKey }) => [
      nameDocument(store, workspace, slug).change(removeOwn),
      ...(projectKey === undefined ? [] : [projectNameDocument(store, projectKey, slug).change(removeOwn)]),
    ]),
  );
}

/** As against removed, because the primary gave the name to another repository. */
function isLost({ version, damage }: Stored<unknown>): boolean {
  return version === "absent" || damage !== undefined;
}

/** A former name is free for who has it now; else the newer answer of the primary counts. */
function mayReplace({ isFormer, seenAt }: NameEntry, claimSeenAt: string): boolean {
  return isFormer || Date.parse(seenAt) <= Date.parse(claimSeenAt);
}

function flagsOf({ isPrivate, foundBy }: RepositoryRecord) {
  return { isPublic: !isPrivate, foundBy };
}

/** A later `seenAt` alone is not worth a write. */
function isSameEntry(a: NameEntry, b: NameEntry): boolean {
  return (
    a.isPublic === b.isPublic &&
    a.isFormer === b.isFormer &&
    a.foundBy === b.foundBy &&
    a.isReserved === b.isReserved
  );
}

/**
 * What a mirrored repository is at the primary: `repos/<uuid>/upstream.json`, and the names that lead to it, which follow
 * when it is renamed, moved, published or hidden.
 */
import { z } from "zod";
import { CorruptPackError, NotFoundError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { nameKey, projectNameKey, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { type NameEntry, readName, readProjectName, writeName, writeProjectName } from "./names.ts";

export interface UpstreamRecord {
  readonly workspace: string;
  readonly slug: string;
  readonly projectKey: string | undefined;
  readonly isPrivate: boolean;
  /** Git finds it at the primary under its uuid as well; absent where that is not known. */
  readonly hasUuidPath?: boolean | undefined;
}

const recordSchema = z
  .strictObject({
    workspace: z.string(),
    slug: z.string(),
    projectKey: z.string().optional(),
    isPrivate: z.boolean(),
    hasUuidPath: z.boolean().optional(),
  })
  .transform((record): UpstreamRecord => ({ projectKey: undefined, ...record }));

/** @returns `undefined` if none was written. @throws {CorruptPackError} It cannot be understood. */
export async function readUpstreamRecord(
  store: BlobStore,
  uuid: RepositoryUuid,
): Promise<UpstreamRecord | undefined> {
  const key = repositoryKeys(uuid).upstream;
  try {
    const { bytes } = await store.read(key);
    return recordSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    if (!(error instanceof z.ZodError || error instanceof SyntaxError)) throw error;
    throw new CorruptPackError("upstream record has unexpected content", { key, cause: error });
  }
}

/**
 * Writes what has changed, after the repository was published: until then nothing may be served under its name. The
 * record comes last, so that a write that was cut short is done again.
 * @param known - Where it does not say whether there is a path by uuid, that stays as it was.
 * @returns Whether another repository keeps the name by project: keys are one workspace's own, and two may have the same.
 * @throws {RangeError} A name that is not one path segment.
 */
export async function writeUpstreamRecord(
  store: BlobStore,
  uuid: RepositoryUuid,
  known: UpstreamRecord,
): Promise<{ readonly isProjectNameTaken: boolean }> {
  const { workspace, slug, projectKey, isPrivate } = known;
  const [before, named] = await Promise.all([
    readUpstreamRecord(store, uuid).catch(asAbsent),
    readName(store, workspace, slug).catch(asAbsent),
  ]);
  const record = { ...known, hasUuidPath: known.hasUuidPath ?? before?.hasUuidPath ?? false };
  const flags = { isPublic: !isPrivate, isFormer: false, hasUuidPath: record.hasUuidPath };
  if (named === undefined || !isSameEntry(named, { uuid, ...flags })) {
    await writeName(store, workspace, slug, uuid, flags);
  }
  if (before !== undefined && isSame(before, record)) return { isProjectNameTaken: false };
  if (before !== undefined && !isSameName(before, record)) await markFormer(store, uuid, before);
  const isProjectNameTaken =
    projectKey !== undefined && (await isKeptByAnother(store, uuid, projectKey, slug));
  if (projectKey !== undefined && !isProjectNameTaken) {
    const { isPublic, hasUuidPath } = flags;
    await writeProjectName(store, projectKey, { uuid, workspace, slug, isPublic, hasUuidPath });
  }
  // By name: what a caller's object has besides would make it unreadable.
  const text = JSON.stringify({
    workspace,
    slug,
    projectKey,
    isPrivate,
    hasUuidPath: record.hasUuidPath || undefined,
  });
  const bytes = new TextEncoder().encode(`${text}\n`);
  await store.write(repositoryKeys(uuid).upstream, bytes);
  return { isProjectNameTaken };
}

/** Takes a repository off the names: what was mirrored stays in the store, and is no longer found. */
export async function deleteUpstreamRecord(store: BlobStore, uuid: RepositoryUuid): Promise<void> {
  const record = await readUpstreamRecord(store, uuid);
  if (record === undefined) return;
  const { workspace, slug, projectKey } = record;
  const named = await readName(store, workspace, slug);
  if (named?.uuid === uuid) await store.delete(nameKey(workspace, slug));
  if (projectKey !== undefined && (await readProjectName(store, projectKey, slug))?.uuid === uuid) {
    await store.delete(projectNameKey(projectKey, slug));
  }
  await store.delete(repositoryKeys(uuid).upstream);
}

/** The primary says that a repository has this name: if it leads to another one here, it leads nowhere from now on. */
export async function releaseName(
  store: BlobStore,
  uuid: RepositoryUuid,
  { workspace, slug }: Pick<UpstreamRecord, "workspace" | "slug">,
): Promise<void> {
  const named = await readName(store, workspace, slug).catch(asAbsent);
  if (named !== undefined && named.uuid !== uuid) await store.delete(nameKey(workspace, slug));
}

/** What cannot be understood is written anew. */
function asAbsent(error: unknown): undefined {
  if (!(error instanceof CorruptPackError)) throw error;
}

function isSame(a: UpstreamRecord, b: UpstreamRecord): boolean {
  return (
    a.workspace === b.workspace &&
    a.slug === b.slug &&
    a.projectKey === b.projectKey &&
    a.isPrivate === b.isPrivate &&
    (a.hasUuidPath ?? false) === (b.hasUuidPath ?? false)
  );
}

function isSameEntry(a: NameEntry, b: NameEntry): boolean {
  return (
    a.uuid === b.uuid &&
    a.isPublic === b.isPublic &&
    a.isFormer === b.isFormer &&
    a.hasUuidPath === b.hasUuidPath &&
    a.isInitializing === b.isInitializing
  );
}

function isSameName(a: UpstreamRecord, b: UpstreamRecord): boolean {
  return nameKey(a.workspace, a.slug) === nameKey(b.workspace, b.slug);
}

async function markFormer(
  store: BlobStore,
  uuid: RepositoryUuid,
  { workspace, slug }: UpstreamRecord,
): Promise<void> {
  const named = await readName(store, workspace, slug).catch(asAbsent);
  if (named?.uuid === uuid) await writeName(store, workspace, slug, uuid, { ...named, isFormer: true });
}

async function isKeptByAnother(
  store: BlobStore,
  uuid: RepositoryUuid,
  projectKey: string,
  slug: string,
): Promise<boolean> {
  const holder = await readProjectName(store, projectKey, slug).catch(asAbsent);
  if (holder === undefined || holder.uuid === uuid) return false;
  const record = await readUpstreamRecord(store, holder.uuid).catch(asAbsent);
  return (
    record?.projectKey !== undefined &&
    projectNameKey(record.projectKey, record.slug) === projectNameKey(projectKey, slug)
  );
}

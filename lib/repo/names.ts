/** Names point to repositories: `names/<workspace>/<slug>.json` holds the uuid. */
import { z } from "zod";
import { CorruptPackError, NotFoundError, VersionConflictError } from "../errors.ts";
import type { BlobStore, WriteCondition } from "../store/blob-store.ts";
import { nameKey, parseRepositoryUuid, projectNameKey, type RepositoryUuid } from "./layout.ts";

/** How a caller may name a repository. */
export type RepositoryReference =
  | { readonly kind: "name"; readonly workspace: string; readonly slug: string }
  | { readonly kind: "uuid"; readonly workspace: string; readonly uuid: RepositoryUuid }
  /** As Smart Mirroring did, in the workspace that has the project. */
  | { readonly kind: "project"; readonly projectKey: string; readonly slug: string };

export interface NameEntry {
  readonly uuid: RepositoryUuid;
  /** Everyone may read it at the primary, as far as the last sync knows. */
  readonly isPublic: boolean;
  /** The repository has another name by now; this one lasts until another repository takes it. */
  readonly isFormer: boolean;
  /** Git finds the repository at the primary under its uuid as well. */
  readonly hasUuidPath: boolean;
  /** Nothing is mirrored under it yet, but it is going to be: it leads nowhere, and whoever asks may be told. */
  readonly isInitializing?: true;
}

export interface ProjectNameEntry {
  readonly uuid: RepositoryUuid;
  readonly workspace: string;
  readonly slug: string;
  readonly isPublic: boolean;
  /** As in `NameEntry`. */
  readonly hasUuidPath: boolean;
}

// Flags are left out where they are false, as in the entries of older releases.
const nameSchema = z
  .strictObject({
    uuid: z.string(),
    isPublic: z.boolean().default(false),
    isFormer: z.boolean().default(false),
    hasUuidPath: z.boolean().default(false),
    isInitializing: z.literal(true).optional(),
  })
  .transform(
    ({ isInitializing, ...entry }): NameEntry => ({
      ...entry,
      ...(isInitializing && { isInitializing }),
      uuid: parseRepositoryUuid(entry.uuid),
    }),
  );

const projectNameSchema = z
  .strictObject({
    uuid: z.string(),
    workspace: z.string().refine(isNameSegment),
    slug: z.string().refine(isNameSegment),
    isPublic: z.boolean().default(false),
    hasUuidPath: z.boolean().default(false),
  })
  .transform((entry): ProjectNameEntry => ({ ...entry, uuid: parseRepositoryUuid(entry.uuid) }));

/** What Bitbucket allows in a workspace id or a slug, so surely one path segment. */
const SEGMENT_PATTERN = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}$/;

export function isNameSegment(text: string): boolean {
  return SEGMENT_PATTERN.test(text);
}

/**
 * @returns `undefined` if there is no such name.
 * @throws {CorruptPackError} The entry is not one that this version understands.
 */
export async function readName(
  store: BlobStore,
  workspace: string,
  slug: string,
): Promise<NameEntry | undefined> {
  if (!isNameSegment(workspace) || !isNameSegment(slug)) return undefined;
  return readEntry(store, nameKey(workspace, slug), nameSchema);
}

/** Errors as in `readName`. */
export async function readProjectName(
  store: BlobStore,
  projectKey: string,
  slug: string,
): Promise<ProjectNameEntry | undefined> {
  if (!isNameSegment(projectKey) || !isNameSegment(slug)) return undefined;
  return readEntry(store, projectNameKey(projectKey, slug), projectNameSchema);
}

/** @throws {RangeError} A name that is not one path segment. */
export async function writeName(
  store: BlobStore,
  workspace: string,
  slug: string,
  uuid: RepositoryUuid,
  {
    isPublic = false,
    isFormer = false,
    hasUuidPath = false,
  }: Partial<Pick<NameEntry, "isPublic" | "isFormer" | "hasUuidPath">> = {},
): Promise<void> {
  assertName(workspace, slug);
  const flags = {
    ...(isPublic && { isPublic }),
    ...(isFormer && { isFormer }),
    ...(hasUuidPath && { hasUuidPath }),
  };
  await writeEntry(store, nameKey(workspace, slug), { uuid, ...flags });
}

/**
 * Notes that a repository is going to be mirrored under a name that leads to none yet; else nothing changes.
 * @throws {RangeError} A name that is not one path segment.
 */
export async function reserveName(
  store: BlobStore,
  workspace: string,
  slug: string,
  uuid: RepositoryUuid,
  isPublic: boolean,
): Promise<void> {
  assertName(workspace, slug);
  const entry = { uuid, ...(isPublic && { isPublic }), isInitializing: true };
  try {
    await writeEntry(store, nameKey(workspace, slug), entry, { ifVersion: "absent" });
  } catch (error) {
    if (!(error instanceof VersionConflictError)) throw error;
  }
}

/** It is not going to be mirrored under this name after all. */
export async function releaseReservedName(
  store: BlobStore,
  workspace: string,
  slug: string,
  uuid: RepositoryUuid,
): Promise<void> {
  const entry = await readName(store, workspace, slug);
  if (entry?.isInitializing && entry.uuid === uuid) await store.delete(nameKey(workspace, slug));
}

/** @throws {RangeError} A key or name that is not one path segment. */
export async function writeProjectName(
  store: BlobStore,
  projectKey: string,
  entry: ProjectNameEntry,
): Promise<void> {
  assertName(entry.workspace, entry.slug);
  assertName(projectKey, entry.slug);
  await writeEntry(store, projectNameKey(projectKey, entry.slug), entry);
}

function assertName(...segments: readonly string[]): void {
  if (!segments.every(isNameSegment)) throw new RangeError("not a name of a repository");
}

async function readEntry<Entry>(
  store: BlobStore,
  key: string,
  schema: z.ZodType<Entry>,
): Promise<Entry | undefined> {
  let bytes: Uint8Array;
  try {
    ({ bytes } = await store.read(key));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new CorruptPackError("name entry has unexpected content", { key, cause: error });
  }
}

async function writeEntry(
  store: BlobStore,
  key: string,
  entry: object,
  condition?: WriteCondition,
): Promise<void> {
  await store.write(key, new TextEncoder().encode(`${JSON.stringify(entry)}\n`), condition);
}

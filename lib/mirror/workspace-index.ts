/**
 * What reconcile knows of a workspace's repositories: `workspaces/<workspace>.json`. One document for all, so that a run over
 * thousands of repositories reads and writes it once. It can be made anew from Bitbucket's lists.
 */
import * as z from "zod/mini";
import { ConfigError, insteadOf, VersionConflictError } from "../errors.ts";
import { workspaceIndexKey } from "../repo/layout.ts";
import { isNameSegment } from "../repo/names.ts";
import { type DocumentForm, type Stored, StoredDocument, UNCHANGED } from "../repo/stored-document.ts";
import type { BlobStore, WholeBlobs } from "../store/blob-store.ts";

const time = z.iso.datetime();

const entrySchema = z.object({
  slug: z.string().check(z.refine(isNameSegment)),
  projectKey: z.optional(z.string()),
  isPrivate: z.boolean(),
  sizeBytes: z.optional(z.number().check(z.nonnegative())),
  /** As REST wrote it. */
  updatedOn: z.string(),
  /** When REST said all this. */
  seenAt: time,
  /** When the last job was made for it. */
  checkedAt: z.optional(time),
  /** Why a job is to be made for it. */
  due: z.optional(z.enum(["new", "changed", "gone", "failed"])),
  /** `mirrored`: jobs keep it in step. `retired`: it is not selected any more, and its data is deleted in time. */
  held: z.optional(z.enum(["mirrored", "retired"])),
  /** Complete lists do not have it: since when, and how many. It is served until that is believed. */
  unlisted: z.optional(z.object({ since: time, rounds: z.int().check(z.positive()) })),
  /** Complete lists do not have it, and that is believed: a job looks for it, and withdraws it. */
  isGone: z.optional(z.literal(true)),
  /** An event of Bitbucket's, or the operator, says that it was deleted: no right of the account is missing. */
  isDeleted: z.optional(z.literal(true)),
  /** When the operator said so: the next complete list is believed. */
  removalAcceptedAt: z.optional(time),
});

const indexSchema = z.object({
  /** Bitbucket's for the workspace, as its lists first gave it: another workspace can take the name. */
  workspaceUuid: z.optional(z.guid()),
  /** When the last complete list was asked for. */
  listedAt: z.optional(time),
  /** What it could name: see `listScope`. */
  listedScope: z.optional(z.string()),
  /** The latest `updatedOn` that was seen. */
  updatedCursor: z.optional(z.string()),
  /** So many repositories vanished at once that it is taken for a fault of the account: they are still served. */
  removalsHeld: z.optional(z.object({ since: time, count: z.int().check(z.positive()) })),
  /** When the operator confirmed that what was unlisted by then is gone, whatever its name. */
  removalsAcceptedAt: z.optional(time),
  /** What is left of the budget for REST. */
  rest: z.optional(z.object({ tokens: z.number(), at: time, pausedUntil: z.optional(time) })),
  repositories: z.record(z.guid(), entrySchema),
});

export type WorkspaceIndex = z.infer<typeof indexSchema>;
export type IndexedRepository = z.infer<typeof entrySchema>;

/** Removals above both limits, the second a share of the mirrored repositories, are held back as a probable fault. */
const MAX_REMOVALS = 5;
const MAX_REMOVED_PART = 0.1;
/** Removals within this time are counted together; held ones take effect after it. */
export const REMOVALS_WINDOW_MS = 24 * 3_600_000;

/** Whether so many vanishing within a day is taken for a fault of the account. @param count - Of what is mirrored, with them. */
export function isMassRemoval(vanishedCount: number, count: number): boolean {
  return vanishedCount > MAX_REMOVALS && vanishedCount > count * MAX_REMOVED_PART;
}

const FORM: DocumentForm<WorkspaceIndex> = { schema: indexSchema, whenDamaged: "absent" };

export function workspaceIndex(store: WholeBlobs, workspace: string): StoredDocument<WorkspaceIndex> {
  return new StoredDocument(store, workspaceIndexKey(workspace), FORM);
}

/** One request. */
export function readWorkspaceIndex(store: WholeBlobs, workspace: string): Promise<Stored<WorkspaceIndex>> {
  return workspaceIndex(store, workspace).read();
}

const INDEX_PREFIX = "workspaces/";

/** Workspaces that have an index, as their names are in keys. */
export async function* indexedWorkspaces(store: BlobStore): AsyncGenerator<string> {
  for await (const { key } of store.list(INDEX_PREFIX)) {
    const name = /^([^/]+)\.json$/.exec(key.slice(INDEX_PREFIX.length))?.[1];
    if (name !== undefined) yield name;
  }
}

/** Uuids of the repositories whose data is here, mirrored or not. @throws What is wrong with a damaged index. */
export async function* heldRepositories(store: BlobStore): AsyncGenerator<string> {
  for await (const workspace of indexedWorkspaces(store)) {
    const { value, damage } = await readWorkspaceIndex(store, workspace);
    if (damage !== undefined) throw damage;
    for (const [uuid, { held }] of Object.entries(value?.repositories ?? {}))
      if (held !== undefined) yield uuid;
  }
}

export interface AcceptedRemovals {
  /** Held back until now; in the order of the names. */
  readonly held: readonly string[];
  /** Withdrawn before. */
  readonly withdrawn: readonly string[];
}

/**
 * Lets the next complete list remove what it does not have, and notes of what was withdrawn that it was deleted.
 * @param only - Slugs of mirrored or withdrawn repositories; all that lists lack unless given.
 * @returns Slugs.
 * @throws {ConfigError} A slug of `only` is not known: nothing is changed.
 * @throws {VersionConflictError} Other writers were first, eight times in a row.
 */
export async function acceptRemovals(
  store: WholeBlobs,
  workspace: string,
  at: Date,
  only?: readonly string[],
): Promise<AcceptedRemovals> {
  let chosen: [string, IndexedRepository][] = [];
  await workspaceIndex(store, workspace).change((index) => {
    chosen = only === undefined ? vanished(index) : namedEntries(index, workspace, only);
    if (index === undefined || chosen.every(([, entry]) => entry.isGone && entry.isDeleted)) return UNCHANGED;
    const accepted = chosen.map(([uuid, entry]) => [uuid, acceptedEntry(entry, at)]);
    return {
      ...index,
      // Releases that know no acceptance of single repositories read this one.
      ...(only === undefined && index.removalsHeld !== undefined && { removalsAcceptedAt: at.toISOString() }),
      repositories: { ...index.repositories, ...Object.fromEntries(accepted) },
    };
  });
  const slugsOf = (isGone: boolean) =>
    chosen.flatMap(([, entry]) => ((entry.isGone === true) === isGone ? [entry.slug] : [])).sort();
  return { held: slugsOf(false), withdrawn: slugsOf(true) };
}

function vanished(index: WorkspaceIndex | undefined): [string, IndexedRepository][] {
  return Object.entries(index?.repositories ?? {}).filter(([, { held, isGone, isDeleted, unlisted }]) =>
    isGone ? !isDeleted : held === "mirrored" && unlisted !== undefined,
  );
}

/** @throws {ConfigError} */
function namedEntries(
  index: WorkspaceIndex | undefined,
  workspace: string,
  slugs: readonly string[],
): [string, IndexedRepository][] {
  const entries = Object.entries(index?.repositories ?? {}).filter(
    ([, { held, isGone }]) => held === "mirrored" || isGone,
  );
  return slugs.flatMap((slug) => {
    const named = entries.filter(([, entry]) => entry.slug.toLowerCase() === slug.toLowerCase());
    if (named.length === 0)
      throw new ConfigError(`${workspace}/${slug}: nothing is mirrored under this name. See nearside status`);
    return named;
  });
}

function acceptedEntry(entry: IndexedRepository, at: Date): IndexedRepository {
  if (entry.isGone) return { ...entry, isDeleted: true };
  // One that the last list still had is deleted only if the next one lacks it.
  return {
    ...{ ...entry, removalAcceptedAt: at.toISOString() },
    ...(entry.unlisted !== undefined && { isDeleted: true as const }),
  };
}

/**
 * The entry of a repository that is not gone after all, to which the selection applies again; `undefined` if it was taken neither
 * for gone nor for deleted.
 */
export function foundAgain(entry: IndexedRepository | undefined): IndexedRepository | undefined {
  if (entry === undefined || !(entry.isGone || entry.isDeleted)) return undefined;
  const { isDeleted: _kept, removalAcceptedAt: _accepted, ...there } = entry;
  if (!entry.isGone) return there;
  const { isGone: _found, unlisted: _listed, due: _done, ...others } = there;
  return { ...others, held: "mirrored" };
}

/** @throws {VersionConflictError} Other writers were first, eight times in a row. */
export async function takeBackFound(store: WholeBlobs, workspace: string, uuid: string): Promise<void> {
  await workspaceIndex(store, workspace).change((index) => {
    const entry = foundAgain(index?.repositories[uuid]);
    if (index === undefined || entry === undefined) return UNCHANGED;
    return { ...index, repositories: { ...index.repositories, [uuid]: entry } };
  });
}

/** @returns Whether it was written: not if another run was faster. What that one left undone, the next one does. */
export async function writeWorkspaceIndex(
  store: WholeBlobs,
  workspace: string,
  index: WorkspaceIndex,
  over: Stored<WorkspaceIndex>,
): Promise<boolean> {
  const writing = workspaceIndex(store, workspace).write(index, over);
  return (await writing.catch(insteadOf(VersionConflictError, undefined))) !== undefined;
}

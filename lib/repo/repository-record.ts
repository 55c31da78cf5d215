/**
 * What is known of one repository: `repos/<uuid>/repository.json`. It says what the repository is called at the primary, and
 * wins over the entries in `names/` and `projects/`, which are an index of these records. Written by the repository's jobs,
 * which come one at a time, and by compare-and-swap all the same: a queue may give out a job twice.
 */
import * as z from "zod/mini";
import type { WholeBlobs } from "../store/blob-store.ts";
import { nameKey, projectNameKey, type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { foundBySchema, isNameSegment } from "./names.ts";
import { type DocumentForm, type Stored, StoredDocument } from "./stored-document.ts";

const name = z.string().check(z.refine(isNameSegment));
const time = z.iso.datetime();

const namesSchema = z.object({
  workspace: name,
  slug: name,
  projectKey: z.optional(name),
});

const count = z.number().check(z.int(), z.nonnegative());

/** One that changed something, or failed. */
const recentSyncSchema = z.union([
  z.object({
    kind: z.literal("published"),
    at: time,
    durationMs: count,
    changedRefs: count,
    objects: count,
    receivedBytes: count,
  }),
  z.object({
    kind: z.literal("failed"),
    /** The first of `tries` with this code, one after the other. */
    at: time,
    code: z.string(),
    tries: count,
  }),
]);

const recordSchema = z.object({
  ...namesSchema.shape,
  isPrivate: z.boolean(),
  /** When the primary said all this. */
  seenAt: time,
  foundBy: foundBySchema,
  /** Names lead to it: from its first publish on, until it is gone from the primary. */
  isNamed: z.boolean(),
  /** A change of what the index shows is under way: the index may lack a part of it. */
  isIndexPending: z.optional(z.literal(true)),
  /** Oldest first. They lead to it until another repository takes them. */
  formerNames: z.array(namesSchema),
  /** In the words of Bitbucket Data Center's mirrors. */
  state: z.enum(["NOT_MIRRORED", "INITIALIZING", "AVAILABLE", "ERROR_INITIALIZING", "ERROR_AVAILABLE"]),
  firstSyncAt: z.optional(time),
  /** Of the last successful sync; written again when something changed, or it has become old. */
  lastSyncAt: z.optional(time),
  /** Since the last successful one. */
  failedSyncCount: z.number().check(z.int(), z.nonnegative()),
  lastError: z.optional(z.object({ at: time, code: z.string(), message: z.string() })),
  /** Oldest first; at most {@link MAX_RECENT_SYNCS}. */
  recentSyncs: z.optional(z.array(recentSyncSchema)),
  hashes: z.object({ content: z.optional(z.string()), metadata: z.string() }),
  /** The `content` hash of the refs that the relay has last sent. */
  announcedRefs: z.optional(z.string()),
  /** Of the primary's git server in protocol 2, at the last sync that was recorded. */
  primaryCapabilities: z.optional(z.array(z.string())),
  /** Since when it is not mirrored any more. */
  removedAt: z.optional(time),
});

export type RepositoryRecord = z.infer<typeof recordSchema>;
export type RecentSync = z.infer<typeof recentSyncSchema>;
export type StoredRecord = Stored<RepositoryRecord>;
export type RepositoryNames = z.infer<typeof namesSchema>;

/** The part of a record that the index shows. */
export type IndexedFields = Pick<
  RepositoryRecord,
  "workspace" | "slug" | "projectKey" | "isPrivate" | "foundBy" | "isNamed"
>;

const FORM: DocumentForm<RepositoryRecord> = {
  schema: recordSchema,
  whenDamaged: "throw",
  checksum: "needed",
  identify: ({ workspace, slug, projectKey }) =>
    workspace === undefined ? undefined : JSON.stringify([workspace, slug, projectKey]),
};

export function repositoryDocument(
  store: WholeBlobs,
  uuid: RepositoryUuid,
): StoredDocument<RepositoryRecord> {
  return new StoredDocument(store, repositoryKeys(uuid).record, FORM);
}

/**
 * One request. @returns `undefined` where no name leads to the repository: it is not served.
 * @throws {StoredDocumentError}
 */
export async function readNamedRecord(
  store: WholeBlobs,
  uuid: RepositoryUuid,
): Promise<RepositoryRecord | undefined> {
  const { value } = await repositoryDocument(store, uuid).read();
  return value?.isNamed ? value : undefined;
}

/** About 2 KB, in a document that is read for many pages. */
const MAX_RECENT_SYNCS = 20;

/** The record with `sync` at the end. A failure like the last one is counted with it. */
export function withRecentSync(record: RepositoryRecord, sync: RecentSync): RepositoryRecord {
  const { recentSyncs = [] } = record;
  const last = recentSyncs.at(-1);
  const isRepeated = sync.kind === "failed" && last?.kind === "failed" && last.code === sync.code;
  const next = isRepeated
    ? [...recentSyncs.slice(0, -1), { ...last, tries: last.tries + sync.tries }]
    : [...recentSyncs, sync].slice(-MAX_RECENT_SYNCS);
  return { ...record, recentSyncs: next };
}

/** More than any repository has had. The oldest ones lead nowhere then. */
const MAX_FORMER_NAMES = 20;

/** The record with these names: those before become former ones, if they led to it. */
export function withIndexed<Fields extends IndexedFields>(
  record: RepositoryRecord,
  indexed: Fields,
): RepositoryRecord {
  const next = { ...record, projectKey: undefined, ...indexed };
  if (isSameIndexed(record, indexed)) return next;
  const { workspace, slug, projectKey } = record;
  const isRenamed = record.isNamed && !hasSameNames(record, indexed);
  const named = isRenamed ? [...record.formerNames, { workspace, slug, projectKey }] : record.formerNames;
  const formerNames = named.filter((names) => !hasSameNames(names, indexed)).slice(-MAX_FORMER_NAMES);
  return { ...next, formerNames, isIndexPending: true };
}

/** @param indexed - The record that the index was brought in line with: if it was changed since, the change is still pending. */
export function indexDone(record: RepositoryRecord, indexed: IndexedFields): RepositoryRecord {
  const { isIndexPending: _done, ...others } = record;
  return isSameIndexed(record, indexed) ? others : record;
}

function isSameIndexed(a: IndexedFields, b: IndexedFields): boolean {
  return (
    a.workspace === b.workspace &&
    a.slug === b.slug &&
    a.projectKey === b.projectKey &&
    a.isPrivate === b.isPrivate &&
    a.foundBy === b.foundBy &&
    a.isNamed === b.isNamed
  );
}

function hasSameNames(a: RepositoryNames, b: RepositoryNames): boolean {
  return nameKey(a.workspace, a.slug) === nameKey(b.workspace, b.slug) && projectKeyOf(a) === projectKeyOf(b);
}

/** @returns The key of the entry in `projects/`; `undefined` where the project is not known. */
export function projectKeyOf({ projectKey, slug }: RepositoryNames): string | undefined {
  return projectKey === undefined ? undefined : projectNameKey(projectKey, slug);
}

/** Gives repositories of a store names, as their jobs do. */
import { changeRecord, factsOf, withFacts } from "../../lib/mirror/repository-state.ts";
import type { RepositoryUuid } from "../../lib/repo/layout.ts";
import { indexNames, type NameConflicts, reserveName } from "../../lib/repo/name-index.ts";
import { type FoundBy, type NameEntry, nameDocument } from "../../lib/repo/names.ts";
import { indexDone, type RepositoryNames, repositoryDocument } from "../../lib/repo/repository-record.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";

/** Only the entry in `names/`, whatever is there. */
export async function writeName(
  store: BlobStore,
  workspace: string,
  slug: string,
  uuid: RepositoryUuid,
  flags: Partial<Pick<NameEntry, "isPublic" | "isFormer" | "foundBy">> = {},
): Promise<void> {
  const seenAt = "2026-01-01T00:00:00.000Z";
  const entry = { uuid, seenAt, isPublic: false, isFormer: false, foundBy: "name", ...flags } as const;
  await nameDocument(store, workspace, slug).change(() => entry);
}

export interface NamedRepository extends RepositoryNames {
  readonly isPrivate: boolean;
  /** As it was, unless given. */
  readonly foundBy?: FoundBy;
  /** Now, unless given. */
  readonly seenAt?: string;
}

/** Reserves the name, as reconcile does for a repository that is selected. */
export async function reserve(
  store: BlobStore,
  slug: string,
  uuid: RepositoryUuid,
  { isPublic = false } = {},
): Promise<void> {
  const seenAt = new Date().toISOString();
  await reserveName(store, uuid, { workspace: "acme", slug, isPrivate: !isPublic, seenAt });
}

/** The record and the index of it, as after a successful sync. */
export async function nameRepository(
  store: BlobStore,
  uuid: RepositoryUuid,
  { foundBy, seenAt = new Date().toISOString(), ...names }: NamedRepository,
): Promise<NameConflicts> {
  const facts = { ...names, seenAt };
  const named = await changeRecord(store, uuid, facts, (record) => ({
    ...withFacts(record, facts, { isNamed: true, foundBy }),
    state: "AVAILABLE",
    firstSyncAt: seenAt,
  }));
  const conflicts = await indexNames(store, uuid, named.value, { all: true });
  await changeRecord(store, uuid, facts, (record) => indexDone(record, named.value), named);
  return conflicts;
}

/** As when the repository is gone from the primary. */
export async function withdrawNames(store: BlobStore, uuid: RepositoryUuid): Promise<void> {
  const { value: record } = await repositoryDocument(store, uuid).read();
  if (record === undefined) throw new Error("no record");
  const facts = factsOf(record);
  const gone = await changeRecord(store, uuid, facts, (before) =>
    withFacts(before, factsOf(before), { isNamed: false }),
  );
  await indexNames(store, uuid, gone.value, { all: true });
  await changeRecord(store, uuid, facts, (before) => indexDone(before, gone.value));
}

/** The steps of a repository's mirroring, as changes of its record: facts of the primary, a failure, the mark of a failure. */
import { createHash } from "node:crypto";
import { MirrorError } from "../errors.ts";
import { failurePrefix, isRepositoryUuid, type RepositoryUuid } from "../repo/layout.ts";
import type { FoundBy } from "../repo/names.ts";
import {
  type RepositoryRecord,
  repositoryDocument,
  type StoredRecord,
  withIndexed,
  withRecentSync,
} from "../repo/repository-record.ts";
import type { BlobStore } from "../store/blob-store.ts";
import type { RepositoryFacts } from "./sync-job.ts";

/** What a person reads in a table. */
const MAX_ERROR_LENGTH = 500;

/**
 * @param change - Given the record as it is, or a first one made of `facts`.
 * @param known - As read before, to save a read.
 */
export async function changeRecord(
  store: BlobStore,
  uuid: RepositoryUuid,
  facts: RepositoryFacts,
  change: (record: RepositoryRecord) => RepositoryRecord,
  known?: StoredRecord,
): Promise<WrittenRecord> {
  let value = firstRecord(facts);
  const document = repositoryDocument(store, uuid);
  const stored = await document.change((before) => {
    value = change(before ?? firstRecord(facts));
    return value;
  }, known);
  return { ...stored, value };
}

export type WrittenRecord = StoredRecord & { readonly value: RepositoryRecord };

export function factsOf(record: RepositoryRecord): RepositoryFacts {
  const { workspace, slug, projectKey, isPrivate, seenAt } = record;
  return { workspace, slug, projectKey, isPrivate, seenAt };
}

export function sameFacts(a: RepositoryFacts, b: RepositoryFacts): boolean {
  return metadataHash(a) === metadataHash(b);
}

export function withFacts(
  record: RepositoryRecord,
  facts: RepositoryFacts,
  {
    isNamed = record.isNamed,
    foundBy = record.foundBy,
  }: { readonly isNamed?: boolean; readonly foundBy?: FoundBy | undefined } = {},
): RepositoryRecord {
  const changed = withIndexed(record, { ...lastingFacts(facts), isNamed, foundBy });
  return { ...changed, hashes: { ...record.hashes, metadata: metadataHash(facts) } };
}

/** A size is for one sync. */
function lastingFacts({ sizeBytes: _size, ...facts }: RepositoryFacts): RepositoryFacts {
  return facts;
}

/** Names compare without regard to case. */
function metadataHash({ workspace, slug, projectKey, isPrivate }: RepositoryFacts): string {
  const text = JSON.stringify([workspace.toLowerCase(), slug.toLowerCase(), projectKey ?? null, isPrivate]);
  return createHash("sha256").update(text).digest("hex");
}

/** After a failed sync: what was served before still is. */
export function failed(record: RepositoryRecord, error: unknown, at: Date): RepositoryRecord {
  const isServed = record.firstSyncAt !== undefined;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof MirrorError ? error.code : "INTERNAL";
  return {
    ...withRecentSync(record, { kind: "failed", at: at.toISOString(), code, tries: 1 }),
    state: isServed ? "ERROR_AVAILABLE" : "ERROR_INITIALIZING",
    failedSyncCount: record.failedSyncCount + 1,
    lastError: {
      at: at.toISOString(),
      code,
      message: message.slice(0, MAX_ERROR_LENGTH),
    },
  };
}

export function firstRecord(facts: RepositoryFacts): RepositoryRecord {
  return {
    state: "NOT_MIRRORED",
    ...lastingFacts(facts),
    foundBy: "unknown",
    isNamed: false,
    formerNames: [],
    failedSyncCount: 0,
    hashes: { metadata: metadataHash(facts) },
  };
}

/** See `failurePrefix`. @param isFailed - `false` takes the mark away. */
export async function markFailure(
  store: BlobStore,
  workspace: string,
  uuid: RepositoryUuid,
  isFailed: boolean,
): Promise<void> {
  const key = `${failurePrefix(workspace)}${uuid}`;
  if (isFailed) await store.write(key, new Uint8Array(0));
  else await store.delete(key);
}

/** Those with the mark. One listing. */
export async function* failedRepositories(
  store: BlobStore,
  workspace: string,
): AsyncIterable<RepositoryUuid> {
  const prefix = failurePrefix(workspace);
  for await (const { key } of store.list(prefix)) {
    const uuid = key.slice(prefix.length);
    if (isRepositoryUuid(uuid)) yield uuid;
  }
}

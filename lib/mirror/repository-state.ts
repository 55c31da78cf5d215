/** How the mirroring of one repository goes, in the words of Bitbucket Data Center's mirrors: `repos/<uuid>/state.json`. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { MirrorError } from "../errors.ts";
import { failurePrefix, type RepositoryUuid, repositoryKeys } from "../repo/layout.ts";
import { isNameSegment } from "../repo/names.ts";
import type { UpstreamRecord } from "../repo/upstream-record.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { changeStoredJson, readStoredJson, type StoredJson } from "./stored-json.ts";
import type { RepositoryFacts } from "./sync-job.ts";

const name = z.string().refine(isNameSegment);
const time = z.iso.datetime();

/** What a person reads in a table. */
const MAX_ERROR_LENGTH = 500;

const stateSchema = z.strictObject({
  formatVersion: z.literal(1),
  state: z.enum(["NOT_MIRRORED", "INITIALIZING", "AVAILABLE", "ERROR_INITIALIZING", "ERROR_AVAILABLE"]),
  workspace: name,
  slug: name,
  projectKey: z.string().optional(),
  isPrivate: z.boolean(),
  /** When the primary said all this. */
  seenAt: time,
  firstSyncAt: time.optional(),
  /** Of the last sync that went well; noted again when something changed, or it has become old. */
  lastSyncAt: time.optional(),
  /** Since the last one that went well. */
  failedSyncCount: z.number().int().nonnegative(),
  lastError: z.strictObject({ at: time, code: z.string(), message: z.string() }).optional(),
  hashes: z.strictObject({ content: z.string().optional(), metadata: z.string() }),
  /** The `content` hash of the refs that the relay was last told of. */
  announcedRefs: z.string().optional(),
  /** Since when it is not mirrored any more. */
  removedAt: time.optional(),
});

export type RepositoryState = z.infer<typeof stateSchema>;
export type StoredState = StoredJson<RepositoryState>;

export function readRepositoryState(store: BlobStore, uuid: RepositoryUuid): Promise<StoredState> {
  return readStoredJson(store, repositoryKeys(uuid).state, stateSchema);
}

/** @param change - Given what is there, or a first state made of `facts`. */
export function changeRepositoryState(
  store: BlobStore,
  uuid: RepositoryUuid,
  facts: RepositoryFacts,
  change: (state: RepositoryState) => RepositoryState,
  known?: StoredState,
): Promise<StoredState> {
  const key = repositoryKeys(uuid).state;
  return changeStoredJson(store, key, stateSchema, (state) => change(state ?? firstState(facts)), known);
}

export function factsOf({
  workspace,
  slug,
  projectKey,
  isPrivate,
  seenAt,
}: RepositoryState): RepositoryFacts {
  return { workspace, slug, isPrivate, seenAt, ...(projectKey !== undefined && { projectKey }) };
}

/** What is noted for those who serve it. */
export function recordOf({ workspace, slug, projectKey, isPrivate }: RepositoryFacts): UpstreamRecord {
  return { workspace, slug, projectKey, isPrivate };
}

export function sameFacts(a: RepositoryFacts, b: RepositoryFacts): boolean {
  return metadataHash(a) === metadataHash(b);
}

export function withFacts(state: RepositoryState, facts: RepositoryFacts): RepositoryState {
  const { projectKey: _old, ...others } = state;
  return { ...others, ...lastingFacts(facts), hashes: { ...state.hashes, metadata: metadataHash(facts) } };
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

/** After a sync that failed: what was served before still is. */
export function failed(state: RepositoryState, error: unknown, at: Date): RepositoryState {
  const isServed = state.firstSyncAt !== undefined;
  const message = error instanceof Error ? error.message : String(error);
  return {
    ...state,
    state: isServed ? "ERROR_AVAILABLE" : "ERROR_INITIALIZING",
    failedSyncCount: state.failedSyncCount + 1,
    lastError: {
      at: at.toISOString(),
      code: error instanceof MirrorError ? error.code : "INTERNAL",
      message: message.slice(0, MAX_ERROR_LENGTH),
    },
  };
}

function firstState(facts: RepositoryFacts): RepositoryState {
  return {
    formatVersion: 1,
    state: "NOT_MIRRORED",
    ...lastingFacts(facts),
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

/** What a repository is called now, and in which project it is: what is known already, or what the primary's REST API says. */
import type { BitbucketRestApi } from "../bitbucket/rest-api.ts";
import { NotFoundError, UpstreamError } from "../errors.ts";
import { factsOf, sameFacts } from "../mirror/repository-state.ts";
import type { RepositoryFacts, RepositoryJob } from "../mirror/sync-job.ts";
import { readName } from "../repo/names.ts";
import type { RepositoryRecord } from "../repo/repository-record.ts";
import type { BlobStore } from "../store/blob-store.ts";

/** Jobs wait in the queue, and come out of dead letters days later: what they say may be true no more. */
const MAX_FACTS_AGE_MS = 15 * 60_000;

export type FoundFacts =
  | { readonly kind: "there"; readonly facts: RepositoryFacts; readonly isFromRest: boolean }
  /** Deleted, or the account may not see it any more: Bitbucket does not tell which. */
  | { readonly kind: "gone" };

export interface FactsOptions {
  readonly api: BitbucketRestApi;
  readonly store: BlobStore;
  readonly now: () => Date;
}

/**
 * Spares REST's small budget: a push to a repository that is known needs none of it. Asks where something may have changed.
 * Events are believed in this only: they can be late or sent again, and a wrong name would bring in another repository.
 * @throws {UpstreamError} REST is down or refuses, and nothing is known.
 */
export async function findFacts(
  job: RepositoryJob,
  known: RepositoryRecord | undefined,
  options: FactsOptions,
): Promise<FoundFacts> {
  const { facts: claimed, factsFrom } = job;
  const knownFacts = known === undefined ? undefined : factsOf(known);
  const isNewest = claimed !== undefined && (knownFacts === undefined || claimed.seenAt >= knownFacts.seenAt);
  if (claimed !== undefined && factsFrom === "rest" && isNewest && job.reason !== "gone") {
    const ageMs = options.now().getTime() - Date.parse(claimed.seenAt);
    if (ageMs <= MAX_FACTS_AGE_MS) return { kind: "there", facts: claimed, isFromRest: true };
  }
  const hasChanged = isNewest && knownFacts !== undefined && !sameFacts(claimed, knownFacts);
  const isKnown = knownFacts !== undefined && !hasChanged && job.reason !== "gone";
  if (isKnown && (await hasName(options.store, knownFacts, job.uuid))) {
    return { kind: "there", facts: knownFacts, isFromRest: false };
  }
  try {
    return await askForFacts(job, options);
  } catch (error) {
    // Git does not depend on REST: what is known goes on by it.
    const canGoOn = error instanceof UpstreamError && error.retryable && isKnown;
    if (canGoOn && !(await isTaken(options.store, knownFacts, job.uuid))) {
      return { kind: "there", facts: knownFacts, isFromRest: false };
    }
    throw error;
  }
}

/** @throws {UpstreamError} */
export async function askForFacts(
  { workspace, uuid }: Pick<RepositoryJob, "workspace" | "uuid">,
  { api, now }: FactsOptions,
): Promise<FoundFacts> {
  const seenAt = now().toISOString();
  try {
    const { slug, projectKey, isPrivate, sizeBytes, ...found } = await askTwice(() =>
      api.repository(workspace, `{${uuid}}`),
    );
    const facts = {
      ...{ workspace: found.workspace, slug, isPrivate, seenAt },
      ...(projectKey !== undefined && { projectKey }),
      ...(sizeBytes !== undefined && { sizeBytes }),
    };
    return { kind: "there", facts, isFromRest: true };
  } catch (error) {
    if (error instanceof NotFoundError) return { kind: "gone" };
    throw error;
  }
}

/** One 404 is no proof. */
async function askTwice<Result>(ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof NotFoundError) return ask();
    throw error;
  }
}

async function hasName(
  store: BlobStore,
  { workspace, slug }: RepositoryFacts,
  uuid: string,
): Promise<boolean> {
  const entry = await readName(store, workspace, slug);
  return entry?.uuid === uuid && !entry.isFormer && !entry.isReserved;
}

async function isTaken(
  store: BlobStore,
  { workspace, slug }: RepositoryFacts,
  uuid: string,
): Promise<boolean> {
  const entry = await readName(store, workspace, slug);
  return entry !== undefined && entry.uuid !== uuid;
}

/** What a repository is called now, and in which project it is: what is known already, or what the primary's REST API says. */
import type { BitbucketRestApi } from "../bitbucket/rest-api.ts";
import { errorFields, insteadOf, NotFoundError, UpstreamError } from "../errors.ts";
import { factsOf, sameFacts } from "../mirror/repository-state.ts";
import type { RepositoryFacts } from "../mirror/sync-job.ts";
import { nameKey } from "../repo/layout.ts";
import { readName } from "../repo/names.ts";
import type { RepositoryRecord } from "../repo/repository-record.ts";
import type { JobContext } from "./job-context.ts";

/** Jobs wait in the queue, and come out of dead letters days later: by then their facts may be wrong. */
const MAX_FACTS_AGE_MS = 15 * 60_000;

export type FoundFacts =
  | { readonly kind: "there"; readonly facts: RepositoryFacts; readonly isFromRest: boolean }
  /** Deleted, or hidden from the account: Bitbucket answers both alike. */
  | { readonly kind: "gone" };

/** The job's repository, and the account that asks about it. */
export interface FactsSource {
  readonly api: BitbucketRestApi;
  readonly context: JobContext;
}

/**
 * Saves REST requests, which Bitbucket limits: asks only if something may have changed, so not after a push to a known repository.
 * Facts from events only show that something changed: they may be late or repeated, and a wrong name would bring in another
 * repository.
 * @throws {UpstreamError} REST is down or refuses, and nothing is known.
 */
export async function findFacts(
  known: RepositoryRecord | undefined,
  source: FactsSource,
): Promise<FoundFacts> {
  const { job, now } = source.context;
  const { facts: claimed, factsFrom, reason, workspace } = job;
  const knownFacts = known === undefined ? undefined : factsOf(known);
  const isNewest = claimed !== undefined && (knownFacts === undefined || claimed.seenAt >= knownFacts.seenAt);
  if (claimed !== undefined && factsFrom === "rest" && isNewest && reason !== "gone") {
    const ageMs = now().getTime() - Date.parse(claimed.seenAt);
    if (ageMs <= MAX_FACTS_AGE_MS) return { kind: "there", facts: claimed, isFromRest: true };
  }
  const hasChanged = isNewest && knownFacts !== undefined && !sameFacts(claimed, knownFacts);
  if (knownFacts === undefined || hasChanged || reason === "gone") return askForFacts(workspace, source);
  const there = { kind: "there", facts: knownFacts, isFromRest: false } as const;
  const readEntry = () => readName(source.context.storage.store, knownFacts.workspace, knownFacts.slug);
  const entry = await readEntry();
  if (entry?.uuid === job.uuid && !entry.isFormer && !entry.isReserved) return there;
  try {
    return await askForFacts(workspace, source);
  } catch (error) {
    // Git does not depend on REST: it is asked by what is known, unless the name leads to another repository.
    if (!(error instanceof UpstreamError && error.retryable)) throw error;
    const taken = await readEntry();
    if (taken !== undefined && taken.uuid !== job.uuid) throw error;
    return there;
  }
}

/** @throws {UpstreamError} */
export async function askForFacts(workspace: string, { api, context }: FactsSource): Promise<FoundFacts> {
  const seenAt = context.now().toISOString();
  const ask = () =>
    api.repository(workspace, `{${context.job.uuid}}`).catch(insteadOf(NotFoundError, undefined));
  // One 404 is no proof.
  const found = (await ask()) ?? (await ask());
  if (found === undefined) return { kind: "gone" };
  const { slug, projectKey, isPrivate, sizeBytes } = found;
  const facts = { workspace: found.workspace, slug, projectKey, isPrivate, sizeBytes, seenAt };
  return { kind: "there", facts, isFromRest: true };
}

/** @returns `undefined` if REST fails, which is logged and does not fail the job. */
export async function tryForFacts(source: FactsSource): Promise<FoundFacts | undefined> {
  const { job, log } = source.context;
  return askForFacts(job.workspace, source).catch((error: unknown) => {
    log.info("sync:facts-unknown", { uuid: job.uuid, ...errorFields(error) });
    return undefined;
  });
}

type Name = Pick<RepositoryFacts, "workspace" | "slug">;

export function isNamed(name: Name, found: FoundFacts | undefined): boolean {
  return found?.kind === "there" && sameName(found.facts, name);
}

export function sameName(a: Name, b: Name): boolean {
  return nameKey(a.workspace, a.slug) === nameKey(b.workspace, b.slug);
}

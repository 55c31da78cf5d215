/**
 * How git finds a repository at the primary: by its uuid, which no other repository can take, or by its name, which another one
 * may have by now. The upstream tries the uuid first, and the name only if git refuses the uuid (`upstream-by-uuid.ts`). The
 * record keeps the state of the last sync that could decide it, `foundBy`:
 *
 * | before | this sync found it by | and | after |
 * | --- | --- | --- | --- |
 * | any | uuid | | uuid |
 * | any | name | published, so the name was confirmed | name |
 * | uuid | name | nothing was new, and REST confirms the name | name |
 * | any | name | else: equal refs do not prove that the name is still right | as before |
 *
 * Callers are asked about by uuid in the state `uuid` only. A publish needs REST's word that the name is still right; after a push event,
 * which has the present name, only where git found the repository by its name. While REST fails:
 *
 * | found by | state | may publish |
 * | --- | --- | --- |
 * | uuid | any | yes |
 * | name | uuid | no: the uuid's refusal says that the repository is gone, and its name another's |
 * | name | name, unknown | only what continues the published history, and only if REST's failure is a temporary one |
 */
import type { FoundUpstream } from "../bitbucket/upstream-by-uuid.ts";
import { RenamedError, UpstreamError } from "../errors.ts";
import type { RepositoryFacts } from "../mirror/sync-job.ts";
import type { FoundBy } from "../repo/names.ts";
import { repositoryDocument } from "../repo/repository-record.ts";
import type { JobContext } from "./job-context.ts";
import { askForFacts, type FactsSource, type FoundFacts, isNamed, tryForFacts } from "./repository-facts.ts";
import type { SyncOutcome } from "./sync-repository.ts";

/** @returns The state after a sync that succeeded; `undefined` for "as before". */
export async function foundByAfter(
  before: FoundBy,
  { foundBy }: FoundUpstream,
  { kind }: SyncOutcome,
  facts: RepositoryFacts,
  source: FactsSource,
): Promise<FoundBy | undefined> {
  if (foundBy === "uuid") return "uuid";
  if (kind === "published") return "name";
  // Else callers would be asked about by a path that git refuses by now.
  return before === "uuid" && isNamed(facts, await tryForFacts(source)) ? "name" : undefined;
}

/**
 * Asks REST whether the name still means this repository: before a publish, and before a sliced import.
 * @param continues - Whether the new refs reach all of the published history.
 * @throws {RenamedError} It means another one. @throws {UpstreamError} REST failed, and nothing may be published without it.
 */
export async function confirmName(
  facts: RepositoryFacts,
  upstream: FoundUpstream,
  continues: boolean,
  source: FactsSource,
): Promise<void> {
  if (upstream.foundBy === "uuid" && source.context.job.reason === "push") return;
  const { workspace, slug } = facts;
  let found: FoundFacts;
  try {
    found = await askForFacts(workspace, source);
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    if (await mayPublishUnconfirmed(error, upstream, continues, source.context)) return;
    throw error;
  }
  if (!isNamed(facts, found))
    throw new RenamedError("the name means another repository by now", { workspace, slug });
}

async function mayPublishUnconfirmed(
  { retryable }: UpstreamError,
  { foundBy }: FoundUpstream,
  continues: boolean,
  { job, storage: { store } }: JobContext,
): Promise<boolean> {
  if (foundBy === "uuid") return true;
  if (!continues || !retryable) return false;
  const { value: record } = await repositoryDocument(store, job.uuid).readForChange();
  return record?.foundBy !== "uuid";
}

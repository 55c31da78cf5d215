/** Which repositories the local mirror has to do with, and what it notes of them. */
import type { Logger } from "../../lib/log.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import { deleteUpstreamRecord } from "../../lib/repo/upstream-record.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import type { Selected, SelectedRepository } from "../../lib/sync/selection.ts";
import { recordUpstream } from "../../lib/sync/sync-job.ts";
import type { Arguments } from "./arguments.ts";

/**
 * Leaves out what everyone may read at the primary, if that is not to be mirrored, and takes it off the names: it may have
 * been private before.
 */
export async function* withoutUnwanted(
  selected: AsyncIterable<Selected>,
  store: BlobStore,
  { publicRepositories }: Pick<Arguments, "publicRepositories">,
): AsyncGenerator<Selected, void, undefined> {
  const skipsPublic = publicRepositories === "skip";
  for await (const item of selected) {
    if (skipsPublic && item.kind === "repository" && item.repository.isPrivate === false) {
      await deleteUpstreamRecord(store, item.repository.uuid);
    } else {
      yield item;
    }
  }
}

/** Notes what the primary says of a repository, unless it said the same `before` or could not be asked. */
export async function noteUpstream(
  storage: RepositoryStorage,
  repository: SelectedRepository,
  before: SelectedRepository | undefined,
  log: Logger,
): Promise<void> {
  const { isPrivate, projectKey } = repository;
  if (isPrivate === undefined || JSON.stringify(before) === JSON.stringify(repository)) return;
  await recordUpstream(storage, { ...repository, isPrivate, projectKey }, log);
}

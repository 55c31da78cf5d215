/**
 * What jobs find out about a repository that the index of its workspace does not know, for the next run of reconcile: empty blobs
 * `findings/<workspace>/<uuid>.<finding>`. A job alone does not withdraw a repository that it does not see.
 */
import { insteadOf, VersionConflictError } from "../errors.ts";
import { findingPrefix, type RepositoryUuid } from "../repo/layout.ts";
import type { BlobStore } from "../store/blob-store.ts";

/**
 * `unseen`: the primary does not show the repository to the account. `found`: it does, although complete lists lack it.
 * `deleted`: an event said that it is deleted or transferred, and the primary does not show it.
 */
export type JobFinding = "unseen" | "found" | "deleted";

/** Since when. */
export type JobFindings = Readonly<Record<JobFinding, ReadonlyMap<RepositoryUuid, string>>>;

export async function noteFinding(
  store: BlobStore,
  workspace: string,
  uuid: RepositoryUuid,
  finding: JobFinding,
): Promise<void> {
  const key = `${findingPrefix(workspace)}${uuid}.${finding}`;
  // The first one stays: its time says since when.
  await store
    .write(key, new Uint8Array(0), { ifVersion: "absent" })
    .catch(insteadOf(VersionConflictError, undefined));
}

/** One list. */
export async function readFindings(store: BlobStore, workspace: string): Promise<JobFindings> {
  const findings = {
    ...{ unseen: new Map<RepositoryUuid, string>(), found: new Map<RepositoryUuid, string>() },
    deleted: new Map<RepositoryUuid, string>(),
  };
  const prefix = findingPrefix(workspace);
  for await (const { key, modifiedAtMs } of store.list(prefix)) {
    const [uuid = "", finding] = key.slice(prefix.length).split(".");
    if (finding === "unseen" || finding === "found" || finding === "deleted")
      findings[finding].set(uuid, new Date(modifiedAtMs).toISOString());
  }
  return findings;
}

/** For what the index knows by now. */
export async function forgetFindings(
  store: BlobStore,
  workspace: string,
  uuids: Iterable<RepositoryUuid>,
  finding: JobFinding,
): Promise<void> {
  for (const uuid of uuids) await store.delete(`${findingPrefix(workspace)}${uuid}.${finding}`);
}

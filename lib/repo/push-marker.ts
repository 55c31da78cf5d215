/**
 * The time of the last push event: `repos/<uuid>/announced`, ISO 8601. A request for refs that were verified before it waits a
 * while. It is never deleted: a sync that lists the refs later makes it void.
 */
import type { BlobStore } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { textBlobs } from "./text-blobs.ts";

/** One request. Of two at the same time, either stays: both are for the next listing. */
export function writePushMarker(store: BlobStore, uuid: RepositoryUuid, at: Date): Promise<void> {
  return textBlobs(store).write(repositoryKeys(uuid).pushMarker, at.toISOString());
}

/** One request. @returns `undefined` if there is none, or it is no valid time: only a wait depends on it. */
export async function readPushMarker(store: BlobStore, uuid: RepositoryUuid): Promise<Date | undefined> {
  const blob = await textBlobs(store).read(repositoryKeys(uuid).pushMarker);
  const at = new Date(blob?.text ?? "");
  return Number.isNaN(at.getTime()) ? undefined : at;
}

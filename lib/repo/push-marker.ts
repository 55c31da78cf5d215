/**
 * When the primary last told of a push: `repos/<uuid>/announced`, an ISO 8601 time. Who lists refs that were verified before
 * it waits a while. Nobody takes it away: a sync that lists the refs later makes it void.
 */
import type { BlobStore } from "../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "./layout.ts";
import { textBlobs } from "./text-blobs.ts";

/** One request. Of two at the same time, either stays: both are for the next listing. */
export function writePushMarker(store: BlobStore, uuid: RepositoryUuid, at: Date): Promise<void> {
  return textBlobs(store).write(repositoryKeys(uuid).pushMarker, at.toISOString());
}

/** One request. @returns `undefined` if none was told of, or what is there is no time: nothing but a wait depends on it. */
export async function readPushMarker(store: BlobStore, uuid: RepositoryUuid): Promise<Date | undefined> {
  const blob = await textBlobs(store).read(repositoryKeys(uuid).pushMarker);
  const at = new Date(blob?.text ?? "");
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** The folder store that the mirror works on in a bench. */
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { DelayedBlobStore } from "./delayed-blob-store.ts";

/** @param delayMs - Added to each request; 0 for none. */
export function openBenchStore(folder: string, delayMs: number): BlobStore {
  const store = new FsBlobStore(folder);
  return delayMs === 0 ? store : new DelayedBlobStore(store, delayMs);
}

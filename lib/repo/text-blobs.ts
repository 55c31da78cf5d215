/** Small texts in a blob store, where a key without one is no error. */
import { insteadOf, NotFoundError, VersionConflictError } from "../errors.ts";
import type { BlobStore, BlobVersion, WholeBlobs } from "../store/blob-store.ts";

/** Never on a request's path. */
export async function deleteOlderBlobs(store: BlobStore, prefix: string, beforeMs: number): Promise<void> {
  for await (const { key, modifiedAtMs } of store.list(prefix)) {
    if (modifiedAtMs < beforeMs) await store.delete(key);
  }
}

export function textBlobs(store: WholeBlobs) {
  return {
    async read(key: string) {
      const blob = await store.read(key).catch(insteadOf(NotFoundError, undefined));
      return blob && { text: new TextDecoder().decode(blob.bytes), version: blob.version };
    },
    async write(key: string, text: string) {
      await store.write(key, new TextEncoder().encode(text));
    },
    /** @returns The version written; `undefined` if the blob has another one than `ifVersion` by now. */
    async replace(key: string, text: string, ifVersion: BlobVersion) {
      const writing = store.write(key, new TextEncoder().encode(text), { ifVersion });
      return writing.catch(insteadOf(VersionConflictError, undefined));
    },
  };
}

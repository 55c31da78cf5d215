/** Small texts in a blob store, where a key without one is no error. */
import { NotFoundError, VersionConflictError } from "../errors.ts";
import type { BlobStore, BlobVersion, WholeBlobs } from "../store/blob-store.ts";

export interface TextBlobs {
  read(key: string): Promise<{ readonly text: string; readonly version: BlobVersion } | undefined>;
  write(key: string, text: string): Promise<void>;
  /** @returns The version written; `undefined` if the blob has another one than `ifVersion` by now. */
  replace(key: string, text: string, ifVersion: BlobVersion): Promise<BlobVersion | undefined>;
}

/** Never on a request's path. */
export async function deleteOlderBlobs(store: BlobStore, prefix: string, beforeMs: number): Promise<void> {
  for await (const { key, modifiedAtMs } of store.list(prefix)) {
    if (modifiedAtMs < beforeMs) await store.delete(key);
  }
}

export function textBlobs(store: WholeBlobs): TextBlobs {
  return {
    async read(key) {
      try {
        const { bytes, version } = await store.read(key);
        return { text: new TextDecoder().decode(bytes), version };
      } catch (error) {
        if (error instanceof NotFoundError) return undefined;
        throw error;
      }
    },
    async write(key, text) {
      await store.write(key, new TextEncoder().encode(text));
    },
    async replace(key, text, ifVersion) {
      try {
        return await store.write(key, new TextEncoder().encode(text), { ifVersion });
      } catch (error) {
        if (error instanceof VersionConflictError) return undefined;
        throw error;
      }
    },
  };
}

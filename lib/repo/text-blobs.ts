/** Small texts in a blob store, where a key without one is no error. */
import { NotFoundError } from "../errors.ts";
import type { BlobStore } from "../store/blob-store.ts";

export interface TextBlobs {
  read(key: string): Promise<string | undefined>;
  write(key: string, text: string): Promise<void>;
  delete(key: string): Promise<void>;
}

/** For the start of a process, never on a request's path. */
export async function deleteOlderBlobs(store: BlobStore, prefix: string, beforeMs: number): Promise<void> {
  for await (const { key, modifiedAtMs } of store.list(prefix)) {
    if (modifiedAtMs < beforeMs) await store.delete(key);
  }
}

export function textBlobs(store: BlobStore): TextBlobs {
  return {
    async read(key) {
      try {
        return new TextDecoder().decode((await store.read(key)).bytes);
      } catch (error) {
        if (error instanceof NotFoundError) return undefined;
        throw error;
      }
    },
    async write(key, text) {
      await store.write(key, new TextEncoder().encode(text));
    },
    delete: (key) => store.delete(key),
  };
}

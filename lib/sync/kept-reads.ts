/** A job opens a repository's indexes and histories before its fetch and again after its publish; it reads each of them once. */
import { LRUCache } from "lru-cache";
import type { Blob, BlobStore, ReadOptions } from "../store/blob-store.ts";

/** Of large repositories they are read anew: most of a job they would be held for nothing. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/** Never rewritten, but for a history that is damaged: `rebuildHistories` writes it through this store. */
const KEPT_KEY = /\/objects\/pack\/pack-[0-9a-f]{40}\.(?:idx|history-\d+)$/;

/** @returns The store, for one job. Everything but whole reads of indexes and histories passes through. */
export function withKeptReads(store: BlobStore): BlobStore {
  const kept = new LRUCache<string, Blob>({
    maxSize: MAX_KEPT_BYTES,
    sizeCalculation: ({ bytes }) => bytes.length + 1,
  });
  const read = async (key: string, options?: ReadOptions): Promise<Blob> => {
    const known = kept.get(key);
    if (known !== undefined) return known;
    const blob = await store.read(key, options);
    if (KEPT_KEY.test(key)) kept.set(key, blob);
    return blob;
  };
  const write: BlobStore["write"] = async (key, bytes, condition) => {
    kept.delete(key);
    const version = await store.write(key, bytes, condition);
    if (KEPT_KEY.test(key)) kept.set(key, { bytes, version });
    return version;
  };
  const deleteBlob = (key: string): Promise<void> => {
    kept.delete(key);
    return store.delete(key);
  };
  const own = { read, write, delete: deleteBlob };
  return new Proxy(store, {
    get(target, name) {
      if (name in own) return own[name as keyof typeof own];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

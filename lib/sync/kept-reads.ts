/** A job opens its repository several times, before its fetch and after its publish; it reads each of its blobs once. */
import { LRUCache } from "lru-cache";
import type { Blob, BlobStore, ReadOptions } from "../store/blob-store.ts";

/** By default. Of large repositories they are read anew: most of a job they would be held for nothing. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/**
 * Never rewritten, but for a history that is damaged, which `rebuildHistories` writes through this store; and the manifest, which is only
 * replaced by compare-and-swap: a job that loses the race reads it anew.
 */
const KEPT_KEY =
  /^repos\/[^/]+\/(?:objects\/pack\/pack-[0-9a-f]{40}\.(?:idx|history-\d+)|ref-snapshots\/[0-9a-f]{40}|manifest\.json)$/;

/** Of a process: its jobs share the memory. */
export class KeptReads {
  readonly #blobs: LRUCache<string, Blob>;
  #jobCount = 0;

  constructor(maxBytes: number = MAX_KEPT_BYTES) {
    const maxSize = Math.max(1, maxBytes); // 0 would be without limit
    this.#blobs = new LRUCache({ maxSize, sizeCalculation: ({ bytes }) => bytes.length + 1 });
  }

  get keptBytes(): number {
    return this.#blobs.calculatedSize;
  }

  /**
   * @param run - A job, with the store as it is to be used. Everything but whole reads of these blobs passes through.
   * What the job has read is forgotten at its end, and is not given to others: they look for damage.
   */
  async during<T>(store: BlobStore, run: (store: BlobStore) => Promise<T>): Promise<T> {
    const prefix = `${this.#jobCount++} `;
    try {
      return await run(this.#over(store, prefix));
    } finally {
      for (const key of [...this.#blobs.keys()]) if (key.startsWith(prefix)) this.#blobs.delete(key);
    }
  }

  #over(store: BlobStore, prefix: string): BlobStore {
    const kept = this.#blobs;
    const read = async (key: string, options?: ReadOptions): Promise<Blob> => {
      const known = kept.get(prefix + key);
      if (known !== undefined) return known;
      const blob = await store.read(key, options);
      if (KEPT_KEY.test(key)) kept.set(prefix + key, blob);
      return blob;
    };
    const write: BlobStore["write"] = async (key, bytes, condition) => {
      kept.delete(prefix + key);
      const version = await store.write(key, bytes, condition);
      if (KEPT_KEY.test(key)) kept.set(prefix + key, { bytes, version });
      return version;
    };
    const deleteBlob = (key: string): Promise<void> => {
      kept.delete(prefix + key);
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
}

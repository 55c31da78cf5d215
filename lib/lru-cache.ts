/** An LRU cache with a maximum number of entries, for text keys. */
import { LRUCache } from "lru-cache";

export interface Expiry {
  readonly ttlMs: number;
  readonly now: () => number;
}

/** @param expiry - When entries expire; by default never. */
export function lruCache<Value extends object | number>(
  maxEntries: number,
  expiry?: Expiry,
): LRUCache<string, Value> {
  return new LRUCache<string, Value>({
    // Not `max`, which allocates all entries at once: 25 ms and 1 MiB for 50,000, in each cold start.
    maxSize: maxEntries,
    sizeCalculation: () => 1,
    ...(expiry && { ttl: expiry.ttlMs, ttlResolution: 0, perf: { now: expiry.now } }),
  });
}

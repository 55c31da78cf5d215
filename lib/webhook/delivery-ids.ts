/**
 * Drops what is delivered again, and gives the rest ids by which the queue drops it in other processes. Only the body is signed, so
 * ids are made of it, and not of the headers that name a delivery. A body that comes again may be new (a branch is moved away and
 * back), so it counts again, but at most every 30 s; every 10 s if another one of the same repository came between them.
 */
import { lruCache } from "../lru-cache.ts";

const AGAIN_EVERY_MS = 30_000;
const AGAIN_AFTER_ANOTHER_MS = 10_000;
/** As long as queues remember ids. */
const REMEMBERED_MS = 5 * 60_000;
/** About 300 bytes each. */
const MAX_REMEMBERED = 20_000;

export interface Delivery {
  readonly id: string;
  /** Settles with the queue's answer; absent before it is queued, and after that failed. */
  queued?: Promise<unknown> | undefined;
}

export class DeliveryIds {
  readonly #nowMs: () => number;
  /** The last delivery of each body. */
  readonly #deliveryOf;
  /** The last body of each repository. */
  readonly #lastOf;

  constructor(nowMs: () => number) {
    const expiry = { ttlMs: REMEMBERED_MS, now: nowMs };
    this.#nowMs = nowMs;
    this.#deliveryOf = lruCache<Delivery>(MAX_REMEMBERED, expiry);
    this.#lastOf = lruCache<{ readonly hash: string }>(MAX_REMEMBERED, expiry);
  }

  /**
   * @param subject - The repository.
   * @param hash - Of the event's key and body, in hex digits.
   */
  of(subject: string, hash: string): { readonly delivery: Delivery; readonly isNewBody: boolean } {
    const isRepeated = this.#lastOf.get(subject)?.hash === hash;
    const last = this.#deliveryOf.get(hash);
    this.#lastOf.set(subject, { hash });
    const everyMs = last === undefined || isRepeated ? AGAIN_EVERY_MS : AGAIN_AFTER_ANOTHER_MS;
    const id = `webhook-${hash}-${everyMs / 1000}-${Math.floor(this.#nowMs() / everyMs)}`;
    return { delivery: last?.id === id ? last : { id }, isNewBody: last === undefined };
  }

  /** Remembers the delivery while it is queued, and as queued if that succeeds. @throws What `queued` rejects with. */
  async remember(hash: string, delivery: Delivery, queued: Promise<unknown>): Promise<void> {
    delivery.queued = queued;
    this.#deliveryOf.set(hash, delivery);
    try {
      await queued;
    } catch (error) {
      delivery.queued = undefined;
      throw error;
    }
  }
}

/**
 * Ids by which the queue drops what is delivered again. Only the body is signed, so they are made of it, and not of the headers that
 * name a delivery. A body that comes again after another one of the same repository may be new (a branch is moved away and back),
 * so it counts again, but at most every 10 s.
 */
import { boundedCache } from "../auth/bounded-cache.ts";

const AGAIN_EVERY_MS = 10_000;
/** As long as queues remember ids. */
const REMEMBERED_MS = 5 * 60_000;
/** About 300 bytes each. */
const MAX_REMEMBERED = 20_000;

export class DeliveryIds {
  readonly #nowMs: () => number;
  /** The last id of each body. */
  readonly #idOf;
  /** The last body of each repository. */
  readonly #lastOf;

  constructor(nowMs: () => number) {
    const expiry = { ttlMs: REMEMBERED_MS, now: nowMs };
    this.#nowMs = nowMs;
    this.#idOf = boundedCache<{ readonly id: string }>(MAX_REMEMBERED, expiry);
    this.#lastOf = boundedCache<{ readonly hash: string }>(MAX_REMEMBERED, expiry);
  }

  /**
   * @param subject - The repository.
   * @param hash - Of the event's key and body, in hex digits.
   */
  of(subject: string, hash: string): string {
    const isRepeated = this.#lastOf.get(subject)?.hash === hash;
    const last = this.#idOf.get(hash);
    this.#lastOf.set(subject, { hash });
    if (isRepeated && last !== undefined) return last.id;
    const again = last === undefined ? "" : `-${Math.floor(this.#nowMs() / AGAIN_EVERY_MS)}`;
    const id = `webhook-${hash}${again}`;
    this.#idOf.set(hash, { id });
    return id;
  }
}

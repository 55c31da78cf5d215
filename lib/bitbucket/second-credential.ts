/** An account with two credentials: the second is used while Bitbucket rejects the first, so that one can end before it is replaced. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LRUCache } from "lru-cache";
import { type Logger, SILENT_LOGGER } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import { type BitbucketAccount, gitAuthorization, restAuthorization } from "./credential.ts";

type Fetch = typeof globalThis.fetch;

/** Bitbucket rejects valid tokens now and then (BCLOUD-24107). */
const PAUSE_MS = 250;
/** After which the first is tried again. */
const REJECTED_MS = 10 * 60_000;
/** Meanwhile a rejection of the first is the answer. */
const BOTH_REJECTED_MS = 60_000;
const MAX_ACCOUNTS = 1_000;

export interface SecondCredentialsOptions {
  readonly pauseMs?: number;
  readonly nowMs?: () => number;
}

/** Which credentials Bitbucket has rejected, as far as this process knows. */
export class SecondCredentials {
  /** By the first one's `Authorization`. */
  readonly #rejected: LRUCache<string, { readonly isOtherRejected: boolean }>;
  readonly #pauseMs: number;

  constructor({ pauseMs = PAUSE_MS, nowMs = () => performance.now() }: SecondCredentialsOptions = {}) {
    this.#pauseMs = pauseMs;
    this.#rejected = lruCache(MAX_ACCOUNTS, { ttlMs: REJECTED_MS, now: nowMs });
  }

  /**
   * @returns Sends what carries the account's first credential, and answers of a rejection (401) that lasts by the second one's answer.
   * Requests without it, such as those to a storage of LFS files, are left as they are. A body must not be a stream.
   */
  fetchFor(account: BitbucketAccount, fetch: Fetch, log: Logger = SILENT_LOGGER): Fetch {
    if (account.kind === "none" || account.second === undefined) return fetch;
    const { second } = account;
    const others = new Map([
      [restAuthorization(account), restAuthorization(second)],
      [gitAuthorization(account), gitAuthorization(second)],
    ]);
    return async (input, init) => {
      const first = new Headers(init?.headers).get("authorization");
      const other = first === null ? undefined : others.get(first);
      if (first === null || other === undefined) return fetch(input, init);
      const headers = new Headers(init?.headers);
      headers.set("authorization", other);
      const sendOther = () => fetch(input, { ...init, headers });
      let known = this.#rejected.get(first);
      if (known?.isOtherRejected === false) {
        const answer = await sendOther();
        if (answer.status !== 401) return answer;
        // The first may be accepted again.
        await discard(answer);
        this.#rejected.delete(first);
        known = undefined;
      }
      let response = await fetch(input, init);
      if (response.status !== 401 || known !== undefined) return response;
      await discard(response);
      await sleep(this.#pauseMs, undefined, init?.signal ? { signal: init.signal } : {});
      response = await fetch(input, init);
      if (response.status !== 401) return response;
      const otherResponse = await sendOther();
      const isOtherRejected = otherResponse.status === 401;
      await discard(isOtherRejected ? otherResponse : response);
      const ttl = isOtherRejected ? BOTH_REJECTED_MS : REJECTED_MS;
      this.#rejected.set(first, { isOtherRejected }, { ttl });
      if (isOtherRejected) return response;
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      log.warn("account:second-credential", { path: pathname }, { TokensEnding: 1 });
      return otherResponse;
    };
  }
}

async function discard({ body }: Response): Promise<void> {
  // Errors of an answer that is not read do not matter.
  await body?.cancel().catch(() => undefined);
}

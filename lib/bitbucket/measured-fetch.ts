/** Counts what the primary does not answer as it should. */
import { errorFields, isTimeout } from "../errors.ts";
import type { Logger } from "../log.ts";

/** A request that its sender gave up counts only if time ran out. */
export function measuredFetch(fetch: typeof globalThis.fetch, log: Logger): typeof globalThis.fetch {
  return async (input, init) => {
    const path = () => new URL(input instanceof Request ? input.url : input).pathname;
    try {
      const response = await fetch(input, init);
      const { status } = response;
      if (status === 429)
        log.warn("primary:rate-limited", { path: path(), status }, { PrimaryRateLimits: 1 });
      else if (status >= 500) log.warn("primary:failed", { path: path(), status }, { PrimaryErrors: 1 });
      return response;
    } catch (error) {
      const { signal } = init ?? {};
      if (!signal?.aborted || isTimeout(signal.reason))
        log.warn("primary:failed", { path: path(), ...errorFields(error) }, { PrimaryErrors: 1 });
      throw error;
    }
  };
}

/** Answers a loop of requests over a limit at little cost: without the store, the primary, or a turn of its own. */
import { lruCache } from "../lru-cache.ts";
import type { AccessDecision, RefusedAccess } from "./access-decision.ts";

/** Of a caller who is answered 429 so often within a second, further requests get the last answer for the rest of it. */
const MAX_LIMITED = 20;
const WINDOW_MS = 1_000;
/** About 300 bytes each. */
const MAX_CALLERS = 10_000;

interface Limited {
  count: number;
  last: RefusedAccess;
}

export class RepeatedLimits {
  readonly #windows;

  constructor(now: () => number = Date.now) {
    this.#windows = lruCache<Limited>(MAX_CALLERS, { ttlMs: WINDOW_MS, now });
  }

  /** @param caller - The credential and its address: others with one of them are not concerned. */
  answerFor(caller: string): RefusedAccess | undefined {
    const limited = this.#windows.get(caller);
    return limited !== undefined && limited.count >= MAX_LIMITED ? limited.last : undefined;
  }

  note(caller: string, decision: AccessDecision): void {
    if (decision.kind !== "refused" || decision.status !== 429) return;
    const limited = this.#windows.get(caller);
    if (limited === undefined) this.#windows.set(caller, { count: 1, last: decision });
    else {
      limited.count += 1;
      limited.last = decision;
    }
  }
}

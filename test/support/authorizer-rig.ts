/** Authorizers over one store, one for each process of a mirror, with a scripted primary and a manual clock. */
import { Authorizer, type AuthorizerLimits, DEFAULT_AUTHORIZER_LIMITS } from "../../lib/auth/authorizer.ts";
import { CallerKeys } from "../../lib/auth/caller-keys.ts";
import type { PrimaryAnswer, ReadQuestion, VerdictStore } from "../../lib/auth/ports.ts";
import { WrongCredentials } from "../../lib/auth/request-limits.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import { textBlobs } from "../../lib/repo/text-blobs.ts";
import { CountingBlobStore } from "./store/counting-blob-store.ts";
import { MemoryBlobStore } from "./store/memory-blob-store.ts";

export const SECRET = "a secret that is long enough for a test";
export const KEYS = new CallerKeys(SECRET);
export const QUESTION: ReadQuestion = {
  authorization: "Basic YTpi",
  repositoryPath: "acme/site",
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
};
export const YES: PrimaryAnswer = { kind: "allowed", finalPath: "acme/site" };
export const NO: PrimaryAnswer = { kind: "refused", status: 404 };
export const UNAUTHORIZED: PrimaryAnswer = { kind: "refused", status: 401 };
export const AWAY: PrimaryAnswer = { kind: "undecided", cause: "unreachable", reason: "away" };

export interface Asked {
  readonly question: ReadQuestion;
  readonly signal: AbortSignal;
  /** Whether a 401 was asked once more. */
  retried: boolean;
}

interface AuthorizerChanges {
  readonly store?: VerdictStore;
  readonly keys?: CallerKeys;
  readonly limits?: Partial<AuthorizerLimits>;
  readonly wrongCredentialsPerMinute?: number;
}

export class AuthorizerRig {
  nowMs = Date.parse("2026-01-01T00:00:00Z");
  /** The primary's answer. */
  answer: PrimaryAnswer | ((asked: Asked) => Promise<PrimaryAnswer>) = YES;
  readonly asked: Asked[] = [];
  /** The primary's answer to the mirror itself. */
  isPrimaryUp: boolean | (() => Promise<boolean>) = true;
  probes = 0;
  readonly store = new CountingBlobStore(new MemoryBlobStore());

  /** One process of the mirror. */
  process(changed: AuthorizerChanges = {}): Authorizer {
    return new Authorizer({
      askPrimary: async (question, { retriesUnauthorized, signal }) => {
        const asked = { question, signal, retried: false };
        this.asked.push(asked);
        const answer = typeof this.answer === "function" ? await this.answer(asked) : this.answer;
        if (answer.kind === "refused" && answer.status === 401) asked.retried = await retriesUnauthorized();
        return answer;
      },
      probePrimary: async () => {
        this.probes += 1;
        return typeof this.isPrimaryUp === "function" ? this.isPrimaryUp() : this.isPrimaryUp;
      },
      keys: changed.keys ?? KEYS,
      store: changed.store ?? textBlobs(this.store),
      log: SILENT_LOGGER,
      wrongCredentials: new WrongCredentials(changed.wrongCredentialsPerMinute ?? 0, () => this.nowMs),
      limits: { ...DEFAULT_AUTHORIZER_LIMITS, ...changed.limits },
      now: () => this.nowMs,
    });
  }

  pass(ms: number): void {
    this.nowMs += ms;
  }
}

/** Limits what callers have the primary asked: ids are the caller's choice, and each hundred that the mirror does not have is a question. */
import { createHash } from "node:crypto";
import { RequestRate } from "../auth/request-limits.ts";
import type { LfsEntry, LfsObject } from "../bitbucket/lfs-batch.ts";
import { UpstreamError } from "../errors.ts";
import type { HttpRequest } from "../http/message.ts";
import { requestCallers } from "../request-caller.ts";

/** Of a token, or of an address without one. A first `git lfs pull` of 30,000 files takes as many. */
export const QUESTIONS_A_MINUTE = 300;

export interface PrimaryQuestion {
  readonly request: Pick<HttpRequest, "headers" | "remoteAddress">;
  readonly repositoryUrl: string;
  readonly objects: readonly LfsObject[];
}

type Entries = ReadonlyMap<string, LfsEntry>;

export class PrimaryQuestions {
  readonly #rate: RequestRate;
  readonly #callerOf = requestCallers();
  /** By a hash of credential, repository and objects. */
  readonly #underWay = new Map<string, Promise<Entries>>();

  constructor(now: () => number = Date.now) {
    this.#rate = new RequestRate(QUESTIONS_A_MINUTE, now);
  }

  /**
   * An equal question that is under way is not asked again.
   * @param ask - Ends by itself: others may wait for it when this caller has left.
   * @throws {UpstreamError} 429 with `limitedBy: "mirror"` for too many. @throws What `ask` throws, or the signal's reason.
   */
  async ask(question: PrimaryQuestion, signal: AbortSignal, ask: () => Promise<Entries>): Promise<Entries> {
    signal.throwIfAborted();
    const key = keyOf(question);
    const answer = this.#underWay.get(key) ?? this.#begin(key, question, ask);
    const left = Promise.withResolvers<never>();
    const onAbort = () => left.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([answer, left.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #begin(key: string, { request }: PrimaryQuestion, ask: () => Promise<Entries>): Promise<Entries> {
    const { token, name } = this.#callerOf(request);
    const retryAfterSeconds = this.#rate.take(token ?? name);
    if (retryAfterSeconds > 0)
      throw new UpstreamError("too many questions about LFS files that the mirror does not have", {
        ...{ retryable: true, retryAfterSeconds, status: 429, limitedBy: "mirror" },
      });
    const answer = ask().finally(() => this.#underWay.delete(key));
    // All who wait for it may have left.
    answer.catch(() => undefined);
    this.#underWay.set(key, answer);
    return answer;
  }
}

function keyOf({ request, repositoryUrl, objects }: PrimaryQuestion): string {
  const ids = objects.map(({ oid, sizeBytes }) => [oid, sizeBytes]);
  const text = JSON.stringify([request.headers["authorization"], repositoryUrl, ids]);
  return createHash("sha256").update(text).digest("base64");
}

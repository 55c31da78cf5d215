/** The stream tier as the mirror in front of it sees it: a server without its limits, to which it redirects git. */
import { textResponse } from "../http/error-response.ts";
import { TOKEN_PATH_PREFIX } from "../http/logged-path.ts";
import type { HttpResponse } from "../http/message.ts";
import type { Logger } from "../log.ts";
import type { RepositoryReference } from "../repo/names.ts";
import type { AllowedAccess } from "./access-decision.ts";
import { NO_CACHE_HEADERS } from "./route.ts";
import type { TierKeys, TierRequest } from "./tier-token.ts";

export interface StreamTierOptions {
  /** Where clients reach it, without a slash at its end. */
  readonly url: string;
  readonly keys: TierKeys;
  /** Repositories with more bytes in their packs are its. */
  readonly thresholdBytes: number;
  readonly fetch: typeof fetch;
  readonly log: Logger;
  readonly now?: () => number;
}

/** At the address that load balancers ask. */
export const HEALTH_PATH = "/-/health";
/** Within a region an answer takes some ms. */
const HEALTH_TIMEOUT_MS = 1_500;
/** What clients may meet: a tier that was stopped a moment ago. */
const UP_FOR_MS = 10_000;
const DOWN_FOR_MS = 5_000;

interface Health {
  readonly isUp: Promise<boolean>;
  validUntilMs: number;
}

export class StreamTier {
  readonly #options: StreamTierOptions;
  readonly #now: () => number;
  #health: Health | undefined;

  constructor(options: StreamTierOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  takes(packBytes: number): boolean {
    return packBytes > this.#options.thresholdBytes;
  }

  /** Asked at the address that clients use, so it covers all that is between. Never rejects. */
  async isUp(): Promise<boolean> {
    if (this.#health === undefined || this.#now() > this.#health.validUntilMs) {
      const health = { isUp: this.#askHealth(), validUntilMs: Number.POSITIVE_INFINITY };
      this.#health = health;
      health.validUntilMs = this.#now() + ((await health.isUp) ? UP_FOR_MS : DOWN_FOR_MS);
    }
    return this.#health.isUp;
  }

  /** Git keeps the address for the requests that follow. @param decision - About this request. */
  redirect(request: TierRequest, decision: AllowedAccess, uuid: string): HttpResponse {
    const { url, keys } = this.#options;
    const token = keys.sign(request, decision, uuid, this.#now());
    // It has to end as the request did, or git does not follow.
    const path = `${TOKEN_PATH_PREFIX}${token}/${pathOf(request.repository)}.git/info/refs`;
    return textResponse(307, "this repository is served by the stream tier", {
      ...NO_CACHE_HEADERS,
      location: `${url}${path}?service=git-upload-pack`,
    });
  }

  async #askHealth(): Promise<boolean> {
    const { url, fetch, log } = this.#options;
    try {
      const response = await fetch(`${url}${HEALTH_PATH}`, {
        redirect: "manual",
        signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
      });
      await response.body?.cancel();
      if (response.ok) return true;
      log.warn("tier:away", { status: response.status });
    } catch (error) {
      log.warn("tier:away", { reason: error instanceof Error ? error.message : String(error) });
    }
    return false;
  }
}

function pathOf(repository: RepositoryReference): string {
  const segments =
    repository.kind === "name"
      ? [repository.workspace, repository.slug]
      : repository.kind === "uuid"
        ? [repository.workspace, `{${repository.uuid}}`]
        : ["scm", repository.projectKey, repository.slug];
  return segments.map(encodeURIComponent).join("/");
}

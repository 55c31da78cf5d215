/**
 * Remembers which credentials the primary accepted within the last minutes, for any repository. Bitbucket sometimes answers
 * 401 to a valid token when several jobs start together (BCLOUD-24107), often for a repository that the token was not used
 * for yet. Kept in the store, for all processes of the mirror.
 */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import { boundedCache } from "./bounded-cache.ts";
import type { CallerKeys } from "./caller-keys.ts";
import type { StoredVerdicts } from "./stored-verdicts.ts";

export const RECENTLY_ACCEPTED_MS = 15 * 60_000;
/** A process writes at most this often for one caller. */
const NOTE_EVERY_MS = 5 * 60_000;
/** About 200 bytes each. */
const MAX_CALLERS = 20_000;

export interface RecentlyAcceptedCredentialsOptions {
  readonly stored: StoredVerdicts;
  readonly keys: CallerKeys;
  readonly log: Logger;
  readonly now: () => number;
}

export class RecentlyAcceptedCredentials {
  readonly #options: RecentlyAcceptedCredentialsOptions;
  /** When this process last wrote. */
  readonly #notedAtMs = boundedCache<number>(MAX_CALLERS);

  constructor(options: RecentlyAcceptedCredentialsOptions) {
    this.#options = options;
  }

  /** The primary accepted the credential. Never rejects. */
  async note(authorization: string): Promise<void> {
    const { stored, keys, now } = this.#options;
    const key = keys.callerKey(authorization);
    const acceptedAtMs = now();
    const notedAtMs = this.#notedAtMs.get(key);
    if (notedAtMs !== undefined && acceptedAtMs < notedAtMs + NOTE_EVERY_MS) return;
    this.#notedAtMs.set(key, acceptedAtMs);
    await this.#logFailure("note", () => stored.writeAccepted(key, acceptedAtMs));
  }

  /** Never rejects. */
  async has(authorization: string): Promise<boolean> {
    const { stored, keys, now } = this.#options;
    const key = keys.callerKey(authorization);
    const storedMs = await this.#logFailure("read", () => stored.readAccepted(key, now()));
    const acceptedAtMs = storedMs ?? this.#notedAtMs.get(key);
    return acceptedAtMs !== undefined && now() < acceptedAtMs + RECENTLY_ACCEPTED_MS;
  }

  async #logFailure<Result>(action: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.log.error("auth:store-failed", { action, ...errorFields(error) });
      return undefined;
    }
  }
}

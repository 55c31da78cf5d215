/**
 * Which credentials the primary has taken lately, for whatever repository: one of these may be good although it says 401 to
 * it elsewhere. In the store, for all processes of the mirror.
 */
import { errorFields } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { CallerKeys } from "./caller-keys.ts";
import { RecentMap } from "./recent-map.ts";
import type { StoredVerdicts } from "./stored-verdicts.ts";

/** So often at the most a process writes of one caller: a fraction of the time that it counts. */
const NOTE_EVERY_MS = 5 * 60_000;
/** Of some 200 bytes each. */
const MAX_CALLERS = 20_000;

export interface RecentlyAcceptedCredentialsOptions {
  readonly stored: StoredVerdicts;
  readonly keys: CallerKeys;
  readonly log: Logger;
  readonly now: () => number;
}

export class RecentlyAcceptedCredentials {
  readonly #options: RecentlyAcceptedCredentialsOptions;
  /** When this process has written last. */
  readonly #notedAtMs = new RecentMap<number>(MAX_CALLERS);

  constructor(options: RecentlyAcceptedCredentialsOptions) {
    this.#options = options;
  }

  /** The primary took the credential. Never rejects. */
  async note(authorization: string): Promise<void> {
    const { stored, keys, now } = this.#options;
    const key = keys.callerKey(authorization);
    const takenAtMs = now();
    const notedAtMs = this.#notedAtMs.get(key);
    if (notedAtMs !== undefined && takenAtMs < notedAtMs + NOTE_EVERY_MS) return;
    this.#notedAtMs.set(key, takenAtMs);
    await this.#quietly("note", () => stored.writeTaken(key, takenAtMs));
  }

  /** @returns When at the least, if anything is known. Never rejects. */
  async takenAtMs(authorization: string): Promise<number | undefined> {
    const { stored, keys, now } = this.#options;
    const key = keys.callerKey(authorization);
    const takenAtMs = await this.#quietly("read", () => stored.readTaken(key, now()));
    return takenAtMs ?? this.#notedAtMs.get(key);
  }

  async #quietly<Result>(action: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.log.error("auth:store-failed", { action, ...errorFields(error) });
      return undefined;
    }
  }
}

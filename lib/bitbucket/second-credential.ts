/**
 * An account with two credentials: the second is used while Bitbucket rejects the first, so that one can end before it is replaced.
 *
 * A path's 401 changes nothing by itself. It makes a question that all requests of the process share: whether Bitbucket rejects the
 * first credential where it accepts every account of the mirror, and if so whether it accepts the second. Where both are rejected there
 * (it is not verified that tokens of one repository may ask), a rejected path is asked itself with the other one, once a minute.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { LRUCache } from "lru-cache";
import { type Logger, SILENT_LOGGER } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import {
  type BitbucketAccount,
  type BitbucketCredential,
  gitAuthorization,
  restAuthorization,
} from "./credential.ts";

type Fetch = typeof globalThis.fetch;

/** Bitbucket rejects valid tokens now and then (BCLOUD-24107), so each 401 is asked about once more after this. */
const PAUSE_MS = 250;
/** After which the first is asked about again while the second is used. */
const SECOND_USED_MS = 10 * 60_000;
/** For which a path's 401 makes no further question. */
const ANSWER_KEPT_MS = 60_000;
/** The same after a question that had no answer. */
const FAILURE_KEPT_MS = 5_000;
const QUESTION_TIMEOUT_MS = 10_000;
const MAX_ACCOUNTS = 1_000;

type Verdict = "accepted" | "rejected" | "unknown";

type Credentials = Readonly<Record<"first" | "second", BitbucketCredential>>;

interface AccountState {
  used: "first" | "second";
  /** Of the one that is used. */
  verdict: Verdict;
  askedAtMs: number;
  /** When a path was last asked with the one that is not used. */
  otherTriedAtMs: number;
  /** The question under way. */
  question?: Promise<void> | undefined;
}

/** What an account's requests are sent by, and where its credentials are asked about. */
export interface AccountRequests {
  readonly account: BitbucketAccount;
  /** Of REST, and for every account of the mirror: a 401 here is not about the path. */
  readonly questionUrl: string;
  readonly fetch: Fetch;
  readonly log?: Logger | undefined;
}

export interface SecondCredentialsOptions {
  readonly pauseMs?: number;
  readonly nowMs?: () => number;
}

/** Which credentials Bitbucket has rejected, as far as this process knows. */
export class SecondCredentials {
  /** By both `Authorization`s for REST: a new second one has no verdict yet. */
  readonly #states: LRUCache<string, AccountState> = lruCache(MAX_ACCOUNTS);
  readonly #pauseMs: number;
  readonly #nowMs: () => number;

  constructor({ pauseMs = PAUSE_MS, nowMs = () => performance.now() }: SecondCredentialsOptions = {}) {
    this.#pauseMs = pauseMs;
    this.#nowMs = nowMs;
  }

  /**
   * @returns Sends requests with the account's first credential by the one that is used, and what is rejected (401) once more if
   * Bitbucket accepts a credential of the account. Requests without the first, such as those to a storage of LFS files, are left as
   * they are. A body must not be a stream.
   */
  fetchFor(requests: AccountRequests): Fetch {
    const { account, fetch } = requests;
    if (account.kind === "none" || account.second === undefined) return fetch;
    const credentials = { first: account, second: account.second };
    const state = this.#stateOf(credentials);
    return async (input, init) => {
      const given = new Headers(init?.headers).get("authorization") ?? undefined;
      const authorizationOf = [restAuthorization, gitAuthorization].find((of) => of(account) === given);
      if (authorizationOf === undefined) return fetch(input, init);
      const send = (used: AccountState["used"]) => {
        const headers = new Headers(init?.headers);
        headers.set("authorization", authorizationOf(credentials[used]) ?? "");
        return fetch(input, { ...init, headers });
      };
      const { used } = state;
      // The first may be accepted again. This request does not wait for the answer.
      if (used === "second") void this.#ask(state, SECOND_USED_MS, credentials, requests);
      const response = await send(used);
      if (response.status !== 401) return response;
      if (state.used === used) {
        const keptMs = state.verdict === "unknown" ? FAILURE_KEPT_MS : ANSWER_KEPT_MS;
        await unlessAborted(this.#ask(state, keptMs, credentials, requests), init?.signal);
      }
      const isRejected = state.used === used && state.verdict !== "accepted";
      if (isRejected && !this.#mayTryOther(state)) return response;
      await discard(response);
      if (!isRejected) return send(state.used);
      const other = used === "first" ? "second" : "first";
      const ofOther = await send(other);
      if (isAccepted(ofOther) && state.used === used)
        use(state, { used: other, verdict: "accepted" }, requests);
      return ofOther;
    };
  }

  /** Once a minute, while Bitbucket rejects both where they are asked about. */
  #mayTryOther(state: AccountState): boolean {
    const nowMs = this.#nowMs();
    if (state.verdict !== "rejected" || nowMs - state.otherTriedAtMs < ANSWER_KEPT_MS) return false;
    state.otherTriedAtMs = nowMs;
    return true;
  }

  #stateOf({ first, second }: Credentials): AccountState {
    const key = [first, second].map(restAuthorization).join("\n");
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const never = Number.NEGATIVE_INFINITY;
    const state: AccountState = {
      used: "first",
      verdict: "unknown",
      askedAtMs: never,
      otherTriedAtMs: never,
    };
    this.#states.set(key, state);
    return state;
  }

  /** Resolves when the state is at most `keptMs` old, or there was no answer. Never rejects. */
  #ask(
    state: AccountState,
    keptMs: number,
    credentials: Credentials,
    requests: AccountRequests,
  ): Promise<void> {
    if (state.question !== undefined) return state.question;
    if (this.#nowMs() - state.askedAtMs < keptMs) return Promise.resolve();
    const choose = async (): Promise<void> => {
      let used: AccountState["used"] = "first";
      let verdict = await this.#verdictOf(credentials.first, requests);
      if (verdict === "rejected") {
        const other = await this.#verdictOf(credentials.second, requests);
        if (other !== "rejected") [used, verdict] = ["second", other];
        else used = state.used;
      }
      state.askedAtMs = this.#nowMs();
      if (verdict === "unknown") state.verdict = verdict;
      else use(state, { used, verdict }, requests);
    };
    state.question = choose().finally(() => (state.question = undefined));
    return state.question;
  }

  /** Of Bitbucket: twice before a credential counts as rejected. */
  async #verdictOf(
    credential: BitbucketCredential,
    { questionUrl, fetch }: AccountRequests,
  ): Promise<Verdict> {
    const headers = { authorization: restAuthorization(credential) ?? "", accept: "application/json" };
    const ask = async (): Promise<Verdict> => {
      try {
        const response = await fetch(questionUrl, {
          headers,
          signal: AbortSignal.timeout(QUESTION_TIMEOUT_MS),
        });
        await discard(response);
        if (response.status === 401) return "rejected";
        return isAccepted(response) ? "accepted" : "unknown";
      } catch {
        return "unknown"; // counted and logged by `fetch`, as any failure of the primary
      }
    };
    const verdict = await ask();
    if (verdict !== "rejected") return verdict;
    await sleep(this.#pauseMs);
    return ask();
  }
}

/** The line once for each change; the metric each time that the second is used, so that its alarm lasts. */
function use(
  state: AccountState,
  { used, verdict }: Pick<AccountState, "used" | "verdict">,
  { log = SILENT_LOGGER, questionUrl }: AccountRequests,
): void {
  const isSwitched = state.used !== used;
  Object.assign(state, { used, verdict });
  const { pathname: path } = new URL(questionUrl);
  if (used === "second") {
    log[isSwitched ? "warn" : "debug"]("account:second-credential", { path }, { TokensEnding: 1 });
  } else if (isSwitched) log.info("account:first-credential", { path });
}

/** Whether an answer shows that Bitbucket takes the credential. */
function isAccepted({ ok, status }: Response): boolean {
  return ok || status === 403 || status === 404;
}

/** @throws The signal's reason, at once, if it aborts before `promise` settles. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal | null | undefined): Promise<void> {
  if (!signal) return promise;
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

async function discard({ body }: Response): Promise<void> {
  // Errors of an answer that is not read do not matter.
  await body?.cancel().catch(() => undefined);
}

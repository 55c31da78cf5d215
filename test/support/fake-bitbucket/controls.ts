/** The switches to misbehave, and what was seen: settable and readable by a test, and over HTTP below `/-/`. */
import * as z from "zod";
import { type Accounts, type AccountsInput, parseAccounts } from "./accounts.ts";
import { NO_REST_FAULTS, REST_FAULTS } from "./rest-faults.ts";

const misbehaviourSchema = z.strictObject({
  /** Which requests the switches below are for. */
  appliesTo: z.enum(["all", "git", "rest"]),
  /** How many more requests they are for; null: all. */
  requestsLeft: z.number().int().nonnegative().nullable(),
  /** Wait before each answer. */
  delayMs: z.number().nonnegative(),
  /** Answer every Nth request 401 although it is allowed; 0: never. */
  unauthorizedEvery: z.number().int().nonnegative(),
  /** Answer 429 with this `Retry-After`; null: don't. */
  rateLimitedForSeconds: z.number().int().nonnegative().nullable(),
  /** Answer with this status; null: don't. 410 is that of a call that Bitbucket has taken away. */
  failWithStatus: z.number().int().min(400).max(599).nullable(),
  /** With a failure's `Retry-After`; null: without. */
  failedForSeconds: z.number().int().nonnegative().nullable(),
  /** Break the connection after so many bytes of an answer's body; null: don't. */
  cutAfterBytes: z.number().int().nonnegative().nullable(),
  /** Ignore `Git-Protocol`, so that git answers as version 0. */
  forceProtocolV0: z.boolean(),
  /** Answer git for a uuid in the path as if there was no such repository, whatever `appliesTo` and `requestsLeft` say. */
  refuseUuids: z.boolean(),
  /** Break each connection without an answer. */
  down: z.boolean(),
  /** How far the clock in REST's answers is ahead. */
  clockAheadSeconds: z.number(),
  /** Send no webhooks, whatever `appliesTo` and `requestsLeft` say. */
  dropWebhooks: z.boolean(),
  ...REST_FAULTS,
});

export type Misbehaviour = z.infer<typeof misbehaviourSchema>;

export const GOOD_BEHAVIOUR: Misbehaviour = {
  appliesTo: "all",
  requestsLeft: null,
  delayMs: 0,
  unauthorizedEvery: 0,
  rateLimitedForSeconds: null,
  failWithStatus: null,
  failedForSeconds: null,
  cutAfterBytes: null,
  forceProtocolV0: false,
  refuseUuids: false,
  down: false,
  clockAheadSeconds: 0,
  dropWebhooks: false,
  ...NO_REST_FAULTS,
};

export type Surface = "git" | "rest";
export type GitService = "git-upload-pack" | "git-receive-pack";

export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly surface: Surface;
  readonly gitProtocol: string | undefined;
  service?: GitService;
  /** The caller's name; absent when anonymous or refused. */
  caller?: string;
  /** Absent until answered, and when the connection was broken before. */
  status?: number;
  /** By `performance.now()`. */
  readonly startedAtMs: number;
  /** Absent until the answer is out, or the connection gone. */
  endedAtMs?: number;
  /** Of the answer's body, as far as it was sent; counted for git's answers only. */
  sentBytes?: number;
}

export interface DeliveryRecord {
  readonly hookUuid: string;
  readonly requestUuid: string;
  readonly eventKey: string;
  readonly attempt: number;
  /** Absent: no answer in time, or no connection. */
  readonly status: number | undefined;
  /** By `performance.now()`. */
  readonly sentAtMs: number;
}

export class Controls {
  /** Every request but those to `/-/`, oldest first. */
  readonly requests: RequestRecord[] = [];
  /** Every attempt to deliver a webhook. */
  readonly deliveries: DeliveryRecord[] = [];
  #misbehaviour: Misbehaviour = GOOD_BEHAVIOUR;
  #accounts: Accounts;
  #allowedRequestCount = 0;
  readonly #pending = new Set<Promise<unknown>>();

  constructor(accounts: AccountsInput, misbehaviour: Partial<Misbehaviour> = {}) {
    this.#accounts = parseAccounts(accounts);
    this.misbehave(misbehaviour);
  }

  get accounts(): Accounts {
    return this.#accounts;
  }

  get misbehaviour(): Misbehaviour {
    return this.#misbehaviour;
  }

  replaceAccounts(accounts: AccountsInput): void {
    this.#accounts = parseAccounts(accounts);
  }

  /** Sets the switches named and leaves the others as they are. */
  misbehave(changes: Partial<Misbehaviour>): void {
    this.#misbehaviour = misbehaviourSchema.parse({ ...this.#misbehaviour, ...changes });
  }

  behave(): void {
    this.#misbehaviour = GOOD_BEHAVIOUR;
  }

  clearRequests(): void {
    this.requests.length = 0;
  }

  /** Resolves when every push seen so far is processed and its webhooks are delivered or given up. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
  }

  /** Makes {@link settled} wait for `work`. */
  track<T>(work: Promise<T>): Promise<T> {
    const tracked = work.finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
    return tracked;
  }

  /** The switches for one request that has just come in. */
  takeFaults(surface: Surface): Misbehaviour {
    const { appliesTo, requestsLeft } = this.#misbehaviour;
    if ((appliesTo !== "all" && appliesTo !== surface) || requestsLeft === 0) return GOOD_BEHAVIOUR;
    const faults = this.#misbehaviour;
    if (requestsLeft !== null) this.misbehave({ requestsLeft: requestsLeft - 1 });
    return faults;
  }

  /** Called once for each request that is allowed. */
  refuseAlthoughAllowed({ unauthorizedEvery }: Misbehaviour): boolean {
    if (unauthorizedEvery === 0) return false;
    this.#allowedRequestCount += 1;
    return this.#allowedRequestCount % unauthorizedEvery === 0;
  }
}

/**
 * Limits how many request bodies are read at a time. Bodies that wait have sent no more than a socket holds. Callers have shares of
 * what is free, so a new caller is read at once; where many callers have used up all, a slow body loses its place to one that waits.
 */
import { OverloadedError } from "../errors.ts";
import { Admission, type AdmissionLimits, type NeededRoom, type TaskGroup } from "./admission.ts";
import { type BodyTime, bodyWithin } from "./body-within.ts";

export interface BodyLimits extends Omit<AdmissionLimits, "reserve" | "isShort" | "makeRoom"> {
  /** A body that has been read for longer may be cut while others wait. */
  readonly slowMs: number;
}

export interface BodySender {
  readonly caller: string;
  readonly groups?: readonly TaskGroup[];
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal;
}

interface ReadBody {
  readonly caller: string;
  readonly groups: readonly TaskGroup[];
  readonly startedMs: number;
  readonly cutting: AbortController;
}

const RETRY_AFTER_SECONDS = 10;

export class BodyAdmission {
  readonly #admission: Admission;
  readonly #slowMs: number;
  readonly #time: BodyTime;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #reading = new Set<ReadBody>();

  /** @param now - In ms, a clock that only goes forward. */
  constructor(limits: BodyLimits, time: BodyTime, now = () => performance.now()) {
    this.#admission = new Admission({ ...limits, makeRoom: (needed) => this.#cutSlow(needed) });
    this.#slowMs = limits.slowMs;
    this.#time = time;
    this.#now = now;
  }

  /**
   * The body's chunks. The first one waits for a place, which is free again at the end.
   * @throws {OverloadedError} No place in time, or the body does not arrive in time. @throws The signal's reason. Both while iterating.
   */
  async *read(
    { caller, groups = [], signal }: BodySender,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const running = await this.#admission.enterWith(caller, signal, { weight: 1, groups });
    const body = { caller, groups, startedMs: this.#now(), cutting: new AbortController() };
    this.#reading.add(body);
    try {
      yield* bodyWithin(chunks, this.#time, body.cutting.signal);
    } finally {
      this.#reading.delete(body);
      running.end();
    }
  }

  /** Cuts the oldest slow body of the caller that has most. One who has none may take another one's last place. */
  #cutSlow({ caller, onlyOf }: NeededRoom): void {
    if (onlyOf === caller) return;
    const countOf = new Map<string, number>();
    for (const body of this.#reading) countOf.set(body.caller, (countOf.get(body.caller) ?? 0) + 1);
    const count = (name: string): number => countOf.get(name) ?? 0;
    const latestMs = this.#now() - this.#slowMs;
    let victim: ReadBody | undefined;
    let most = count(caller) === 0 ? 0 : count(caller) + 1;
    for (const body of this.#reading) {
      if (body.startedMs > latestMs) break;
      const isOfGroup = onlyOf === undefined || body.groups.some(({ key }) => key === onlyOf);
      if (!isOfGroup || count(body.caller) <= most) continue;
      most = count(body.caller);
      victim = body;
    }
    if (victim === undefined) return;
    this.#reading.delete(victim);
    const text = `the mirror is busy, and the request's body took long; try again in ${RETRY_AFTER_SECONDS} s`;
    victim.cutting.abort(new OverloadedError(text, { status: 503, retryAfterSeconds: RETRY_AFTER_SECONDS }));
  }
}

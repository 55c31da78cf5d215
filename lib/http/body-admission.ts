/**
 * Limits how many request bodies arrive at a time. Bodies that wait have sent no more than a socket holds. Callers have shares of
 * what is free, so a new caller is read at once; where many callers have used up all, a body below the minimum rate loses its place to
 * one that waits.
 */
import { OverloadedError } from "../errors.ts";
import { TransferPace, type TransferSlack } from "../transfer-pace.ts";
import { Admission, type AdmissionLimits, type NeededRoom } from "./admission.ts";
import { type BodyTime, bodyWithin } from "./body-within.ts";
import type { TaskGroup } from "./running-tasks.ts";

export interface BodyLimits extends Omit<AdmissionLimits, "reserve" | "isShort" | "makeRoom"> {
  /** Of a body that may not be cut while others wait. */
  readonly slack: TransferSlack;
}

export interface BodySender {
  readonly caller: string;
  readonly groups?: readonly TaskGroup[];
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal;
}

interface ArrivingBody {
  readonly caller: string;
  readonly groups: readonly TaskGroup[];
  readonly pace: TransferPace;
  readonly cutting: AbortController;
}

interface BodyPlace {
  /**
   * The chunks as they are.
   * @param chunksUntil - Its argument aborts with an {@link OverloadedError} when another one needs the place and they arrive slowly.
   */
  watched(
    chunksUntil: (cut: AbortSignal) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined>;
  /** May be called more than once. */
  end(): void;
}

const RETRY_AFTER_SECONDS = 10;

export class BodyAdmission {
  readonly #admission: Admission;
  readonly #slack: TransferSlack;
  readonly #now: () => number;
  readonly #arriving = new Set<ArrivingBody>();

  /** @param now - In ms, a clock that only goes forward. */
  constructor(limits: BodyLimits, now = () => performance.now()) {
    this.#admission = new Admission({ ...limits, makeRoom: (needed) => this.#makeRoom(needed) });
    this.#slack = limits.slack;
    this.#now = now;
  }

  /**
   * Waits for a place.
   * @throws {OverloadedError} None in time. @throws The signal's reason.
   */
  async enter({ caller, groups = [], signal }: BodySender): Promise<BodyPlace> {
    const { end } = await this.#admission.enterWith(caller, signal, { weight: 1, groups });
    return { end, watched: (chunksUntil) => this.#watch(caller, groups, chunksUntil) };
  }

  /**
   * The body's chunks. The first one waits for a place, which is free again at the end.
   * @throws {OverloadedError} No place in time, or the body does not arrive in time. @throws The signal's reason. Both while iterating.
   */
  async *read(
    sender: BodySender,
    chunks: AsyncIterable<Uint8Array>,
    time: BodyTime,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const place = await this.enter(sender);
    try {
      yield* place.watched((cut) => bodyWithin(chunks, time, cut));
    } finally {
      place.end();
    }
  }

  async *#watch(
    caller: string,
    groups: readonly TaskGroup[],
    chunksUntil: (cut: AbortSignal) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const cutting = new AbortController();
    const body = { caller, groups, cutting, pace: new TransferPace(this.#slack, this.#now) };
    this.#arriving.add(body);
    try {
      body.pace.waits();
      for await (const chunk of chunksUntil(cutting.signal)) {
        body.pace.moved(chunk.length);
        yield chunk;
        body.pace.waits();
      }
    } catch (error) {
      throw cutting.signal.aborted ? cutting.signal.reason : error;
    } finally {
      this.#arriving.delete(body);
    }
  }

  #makeRoom(needed: readonly NeededRoom[]): void {
    for (const one of needed) {
      // There may be thousands that wait.
      if (![...this.#arriving].some(({ pace }) => pace.isSlow)) return;
      this.#cutSlow(one);
    }
  }

  /** Cuts the slowest body of the caller that has most. One who has none may take another one's last place. */
  #cutSlow({ caller, onlyOf }: NeededRoom): void {
    if (onlyOf === caller) return;
    const countOf = new Map<string, number>();
    for (const body of this.#arriving) countOf.set(body.caller, (countOf.get(body.caller) ?? 0) + 1);
    const count = (name: string): number => countOf.get(name) ?? 0;
    const least = count(caller) === 0 ? 0 : count(caller) + 1;
    const [victim] = [...this.#arriving]
      .filter((body) => onlyOf === undefined || body.groups.some(({ key }) => key === onlyOf))
      .filter((body) => body.pace.isSlow && count(body.caller) > least)
      .sort((one, other) => count(other.caller) - count(one.caller) || one.pace.aheadMs - other.pace.aheadMs);
    if (victim === undefined) return;
    this.#arriving.delete(victim);
    const text = `the mirror is busy, and the request's body arrives slowly; try again in ${RETRY_AFTER_SECONDS} s`;
    victim.cutting.abort(new OverloadedError(text, { status: 503, retryAfterSeconds: RETRY_AFTER_SECONDS }));
  }
}

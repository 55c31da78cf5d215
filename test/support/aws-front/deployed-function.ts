/**
 * A Lambda function: as many execution environments as invocations at a time, up to what is reserved for it. An invocation takes an idle
 * environment, else it starts one. Source: docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html.
 */
import type { IncomingMessage } from "node:http";
import { availableParallelism } from "node:os";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type ExecutionEnvironment,
  type FunctionCode,
  type Outcome,
  startEnvironment,
} from "./execution-environment.ts";
import type { FunctionDefinition } from "./template.ts";

/** Lambda's answer to an invocation: more run at a time than are reserved. */
export class ThrottledError extends Error {}
/** The function failed, ended, or ran out of time or memory. */
export class FunctionError extends Error {}

export interface FunctionCounts {
  invocations: number;
  /** Invocations that started an environment. */
  cold: number;
  throttled: number;
  failed: number;
  /** Invocations that waited for an environment or a processor of this machine, before the function got them. Lambda has no such queue. */
  queued: number;
  longestQueuedMs: number;
  mostAtOnce: number;
}

export interface DeployedFunctionOptions {
  readonly definition: FunctionDefinition;
  /** Called with the first invocation. */
  readonly code: () => Promise<FunctionCode>;
  /** Environments that this machine bears; further invocations wait. Default: none waits. */
  readonly maxEnvironments?: number;
  /**
   * Invocations that run at a time: Lambda's environments have a processor each, and here more would delay each other past limits that
   * AWS's meet easily. Further ones wait in their environments, which do not see that time. Default: none waits.
   */
  readonly maxExecuting?: number;
  /** After which an idle environment is ended. Default: it never is. */
  readonly idleMs?: number;
  /** Asynchronous invocations: tries after a failure, and the pause before each. */
  readonly retries?: { readonly count: number; readonly pauseMs: number };
}

/** Starts at a time, of all functions: Lambda's have processors of their own, and here they would starve what runs. */
const MAX_STARTS = availableParallelism();
const waitingStarts: (() => void)[] = [];
let starts = 0;

async function startTurn(): Promise<() => void> {
  if (starts >= MAX_STARTS) await new Promise<void>((resolve) => waitingStarts.push(resolve));
  else starts += 1;
  return () => {
    const next = waitingStarts.shift();
    if (next === undefined) starts -= 1;
    else next();
  };
}

interface Slot {
  environment?: ExecutionEnvironment;
  state: "starting" | "busy" | "responded" | "idle" | "ended";
  /** Gets the slot when it is idle, or `false` when it has ended. */
  next?: ((isReady: boolean) => void) | undefined;
  idleTimer?: NodeJS.Timeout | undefined;
}

export class DeployedFunction {
  readonly counts: FunctionCounts = {
    ...{ invocations: 0, cold: 0, throttled: 0, failed: 0 },
    ...{ queued: 0, longestQueuedMs: 0, mostAtOnce: 0 },
  };
  readonly #options: DeployedFunctionOptions;
  readonly #slots = new Set<Slot>();
  /** Each gets an idle environment, or `undefined`: there is room for another one. */
  readonly #queue: ((slot: Slot | undefined) => void)[] = [];
  readonly #executing = new Set<Slot>();
  readonly #waitingTurns: { readonly slot: Slot; readonly begin: () => void }[] = [];
  #running = 0;
  #isClosed = false;
  #log = "";

  constructor(options: DeployedFunctionOptions) {
    this.#options = options;
  }

  get definition(): FunctionDefinition {
    return this.#options.definition;
  }

  /** Invocations that have begun and not ended. */
  get running(): number {
    return this.#running;
  }

  log(): string {
    return this.#log;
  }

  /**
   * @param onDelivered - Called when an environment has got the event: what this machine needs before that is no time of AWS's.
   * @returns The response as it streams in. @throws {ThrottledError | FunctionError}
   */
  async stream(event: unknown, onDelivered?: () => void): Promise<IncomingMessage> {
    const { reservedConcurrency = Number.POSITIVE_INFINITY } = this.definition;
    if (this.#running >= reservedConcurrency) {
      this.counts.throttled += 1;
      throw new ThrottledError("Rate Exceeded.");
    }
    this.#running += 1;
    this.counts.invocations += 1;
    this.counts.mostAtOnce = Math.max(this.counts.mostAtOnce, this.#running);
    try {
      const outcome = await this.#invoke(event, onDelivered);
      if (outcome.kind === "failed") throw new FunctionError(outcome.errorMessage);
      // Until its end: a response that is read slowly keeps the environment.
      const { response } = outcome;
      response.once("close", () => {
        if (!response.complete) this.counts.failed += 1;
        this.#done();
      });
      return response;
    } catch (error) {
      this.counts.failed += 1;
      this.#done();
      throw error;
    }
  }

  /** For a function that answers in one piece. @throws {ThrottledError | FunctionError} */
  async invoke(event: unknown): Promise<unknown> {
    return json(await this.stream(event));
  }

  /** As a schedule invokes it. Resolves when it is done or given up. */
  async invokeAsync(event: unknown): Promise<unknown> {
    const { count, pauseMs } = this.#options.retries ?? { count: 2, pauseMs: 1000 };
    for (let failures = 0; ; ) {
      try {
        return await this.invoke(event);
      } catch (error) {
        if (error instanceof FunctionError && failures++ >= count) throw error;
        await sleep(pauseMs);
        if (this.#isClosed) throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#slots].map(({ environment }) => environment?.end()));
  }

  async #invoke(event: unknown, onDelivered?: () => void): Promise<Outcome> {
    const arrivedAtMs = performance.now();
    const { slot, isQueued } = await this.#acquire();
    if (slot?.environment === undefined) return { kind: "failed", errorMessage: "Runtime exited" };
    const waitsForTurn = await this.#takeTurn(slot);
    if (isQueued || waitsForTurn) this.#noteQueued(arrivedAtMs);
    if (hasEnded(slot)) {
      this.#endTurn(slot);
      return { kind: "failed", errorMessage: "Runtime exited" };
    }
    onDelivered?.();
    const outcome = await slot.environment.invoke(event);
    if (outcome.kind === "responds") outcome.response.once("close", () => respond(slot));
    return outcome;
  }

  #done(): void {
    this.#running -= 1;
  }

  /** For an environment, until it is ready again or has ended. @returns Whether it waited. */
  async #takeTurn(slot: Slot): Promise<boolean> {
    const { maxExecuting = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#executing.size >= maxExecuting) {
      await new Promise<void>((begin) => this.#waitingTurns.push({ slot, begin }));
      return true;
    }
    this.#executing.add(slot);
    return false;
  }

  #endTurn(slot: Slot): void {
    if (!this.#executing.delete(slot)) return;
    const next = this.#waitingTurns.shift();
    if (next === undefined) return;
    this.#executing.add(next.slot);
    next.begin();
  }

  #noteQueued(sinceMs: number): void {
    const waitedMs = Math.round(performance.now() - sinceMs);
    this.counts.queued += 1;
    this.counts.longestQueuedMs = Math.max(this.counts.longestQueuedMs, waitedMs);
  }

  /** @returns No slot: the function does not start. */
  async #acquire(): Promise<{ readonly slot?: Slot | undefined; readonly isQueued: boolean }> {
    for (let isQueued = false; ; isQueued = true) {
      const free = this.#find("idle");
      if (free !== undefined) return { slot: take(free), isQueued };
      const responded = this.#find("responded");
      if (responded !== undefined) {
        // To wait for it is quicker than another start.
        if (await new Promise<boolean>((resolve) => (responded.next = resolve)))
          return { slot: take(responded), isQueued };
        continue;
      }
      const { maxEnvironments = Number.POSITIVE_INFINITY } = this.#options;
      if (this.#slots.size < maxEnvironments) return { slot: await this.#start(), isQueued };
      const slot = await new Promise<Slot | undefined>((resolve) => this.#queue.push(resolve));
      if (slot !== undefined) return { slot, isQueued: true };
    }
  }

  #find(state: Slot["state"]): Slot | undefined {
    return [...this.#slots].find((slot) => slot.state === state && slot.next === undefined);
  }

  async #start(): Promise<Slot | undefined> {
    this.counts.cold += 1;
    const slot: Slot = { state: "starting" };
    this.#slots.add(slot);
    const ready = new Promise<boolean>((resolve) => (slot.next = resolve));
    const endTurn = await startTurn();
    try {
      slot.environment = await startEnvironment({
        ...(await this.#options.code()),
        definition: this.definition,
        onLog: (text) => (this.#log += text),
        onReady: () => this.#ready(slot),
        onEnd: () => this.#ended(slot),
      });
      if (this.#isClosed) await slot.environment.end();
      return (await ready) ? take(slot) : undefined;
    } finally {
      endTurn();
    }
  }

  #ready(slot: Slot): void {
    this.#endTurn(slot);
    slot.state = "idle";
    const { next } = slot;
    slot.next = undefined;
    if (next !== undefined) next(true);
    else if (this.#queue.length > 0) this.#queue.shift()?.(take(slot));
    else this.#expire(slot);
  }

  #expire(slot: Slot): void {
    const { idleMs } = this.#options;
    if (idleMs !== undefined) slot.idleTimer = setTimeout(() => void slot.environment?.end(), idleMs);
  }

  #ended(slot: Slot): void {
    this.#endTurn(slot);
    slot.state = "ended";
    clearTimeout(slot.idleTimer);
    this.#slots.delete(slot);
    slot.next?.(false);
    this.#queue.shift()?.(undefined);
  }
}

function take(slot: Slot): Slot {
  clearTimeout(slot.idleTimer);
  slot.state = "busy";
  return slot;
}

function hasEnded({ state }: Slot): boolean {
  return state === "ended";
}

function respond(slot: Slot): void {
  if (slot.state === "busy") slot.state = "responded";
}

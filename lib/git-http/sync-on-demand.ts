/**
 * Synchronizes a repository because a request asks for what is not here, and waits for the result. The sync is a job like any
 * other, and done once the manifest's time of verification says so; so this works over any queue and store.
 */
import { createHash, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { errorFields } from "../errors.ts";
import type { Newer } from "../git/upload-pack/upload-pack.ts";
import type { Logger } from "../log.ts";
import { lruCache } from "../lru-cache.ts";
import type { SyncRequests } from "../mirror/sync-job.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryReference } from "../repo/names.ts";
import { readNamedRecord } from "../repo/repository-record.ts";
import { resolveRepository } from "../repo/resolve-repository.ts";
import type { BlobStore } from "../store/blob-store.ts";
import { LooksInVain, MAX_IN_VAIN, MAX_IN_VAIN_OF_WAIT, MAX_MISSING_REMEMBERED } from "./looks-in-vain.ts";
import type { Asker, FindNeeds, OnDemand, ServedSource } from "./served-source.ts";

/** A repository, and when its refs were last verified. */
export interface SyncedSource extends ServedSource {
  readonly uuid: RepositoryUuid;
  readonly verifiedAt: Date;
}

export interface SyncOnDemandOptions {
  readonly catalog: {
    find(asked: RepositoryReference, needs: FindNeeds): Promise<SyncedSource | undefined>;
    /** As it is in the store now. */
    open(uuid: RepositoryUuid): Promise<SyncedSource | undefined>;
  };
  readonly store: BlobStore;
  readonly requests: SyncRequests;
  /** Time of the last push event whose job waits or runs; absent if the queue cannot know. */
  readonly pushedAtMs?: (uuid: RepositoryUuid) => number | undefined;
  /** For one request. */
  readonly maxWaitMs: number;
  readonly log: Logger;
}

/** Intervals between reads of the manifest. Short at first: the sync of a small push takes some tenths of a second. */
const POLL_MS = { first: 20, factor: 1.2, max: 250 } as const;

/** Requests for refs do not wait for syncs that take longer, or failed. */
const PUSH_LIFETIME_MS = 60_000;

const MINUTE_MS = 60_000;
/** About 150 bytes each. */
const MAX_REMEMBERED = 20_000;

/** Further ones have a pause before them. */
const MAX_UNPACED_OF_REPOSITORY = 5;
/** Before a sync of a repository whose syncs often found nothing: requests of this time share it. */
const PACE_MS = 2_000;

interface Round {
  readonly result: Promise<SyncedSource | undefined>;
  /** Of the callers that wait for it, and what they ask for. */
  readonly looks: Map<LooksInVain, Set<string>>;
}

export class SyncOnDemand implements OnDemand {
  readonly #options: SyncOnDemandOptions;
  /** At most one for each repository. */
  readonly #rounds = new Map<RepositoryUuid, Round>();
  /** Waits for pushes of which events have come. At most one for each repository. */
  readonly #pushes = new Map<string, Promise<SyncedSource | undefined>>();
  /** By caller, and by repository. */
  readonly #looks = lruCache<LooksInVain>(MAX_REMEMBERED, { ttlMs: MINUTE_MS, now: Date.now });
  /** Repositories whose listing was waited for without success, and the time of the last one then. */
  readonly #late = lruCache<{ readonly verifiedMs: number }>(MAX_REMEMBERED, {
    ttlMs: MINUTE_MS,
    now: Date.now,
  });

  constructor(options: SyncOnDemandOptions) {
    this.#options = options;
  }

  async refresh(
    asked: RepositoryReference,
    needs: FindNeeds,
    { missing, callers, lookedAt, signal }: Asker,
  ): Promise<Newer<SyncedSource> | undefined> {
    const { catalog, maxWaitMs } = this.#options;
    const sinceMs = Date.now();
    const known = await catalog.find(asked, needs);
    if (known === undefined || maxWaitMs === 0) return undefined;
    const isWait = lookedAt !== undefined;
    // It may have what the wait has missed.
    if (isWait && isNewer(known, lookedAt)) return { source: known };
    const ending = AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)]);
    const ended = aborted(ending);
    const max = isWait ? MAX_IN_VAIN_OF_WAIT : MAX_IN_VAIN;
    // A name may have 64 KB.
    const about = createHash("sha1").update(`${known.uuid} ${missing}`).digest("base64");
    let repository: SyncedSource = known;
    while (repository.verifiedAt.getTime() < sinceMs) {
      const running = this.#rounds.get(repository.uuid);
      // The round after one that found something asks for no more than that one did.
      const asking = repository.generation === known.generation ? this.#looksOfAll(callers, isWait) : [];
      const counted = asking.filter((one) => !running?.looks.has(one));
      const notAsked = counted.map((one) => one.limit(about, max)).find((limit) => limit !== undefined);
      if (notAsked !== undefined) return { source: repository, notAsked };
      const busy = counted.find(({ count, underWay }) => count + underWay.size >= max.ofCaller);
      if (busy !== undefined) {
        await Promise.race([...busy.underWay, ended]);
        if (ending.aborted) return undefined;
        continue;
      }
      // A round that began before this request may have listed the refs before it.
      const round = running ?? this.#begin(repository);
      for (const looks of asking) join(round, looks, about);
      const found: SyncedSource | undefined = await Promise.race([round.result, ended]);
      if (found === undefined) return undefined;
      repository = found;
      // A wait looks whether its commit is there, and calls again: in a crowd of waits a sync that began earlier is enough for most.
      if (isWait) break;
    }
    return { source: repository };
  }

  async refreshPushed(
    { uuid, pushedAt, verifiedAt }: ServedSource,
    signal: AbortSignal,
  ): Promise<SyncedSource | undefined> {
    const { pushedAtMs, maxWaitMs } = this.#options;
    if (uuid === undefined || verifiedAt === undefined || maxWaitMs === 0) return undefined;
    const pushedMs = pushedAtMs?.(uuid) ?? pushedAt?.getTime();
    if (pushedMs === undefined || Date.now() - pushedMs > PUSH_LIFETIME_MS) return undefined;
    const ended = aborted(AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)]));
    let verifiedMs = verifiedAt.getTime();
    let found: SyncedSource | undefined;
    while (verifiedMs < pushedMs) {
      // Nothing was listed since a request has waited for it as long as it may.
      if (this.#late.get(uuid)?.verifiedMs === verifiedMs) return found;
      // Its job is in the queue already. A wait that has begun may be for an earlier push.
      const listed = this.#pushes.get(uuid) ?? this.#waitForPush(uuid, pushedMs);
      const next: SyncedSource | undefined = await Promise.race([listed, ended]);
      if (next === undefined) return found;
      found = next;
      verifiedMs = found.verifiedAt.getTime();
    }
    return found;
  }

  /** Synchronizes after a push that went through this mirror, before its webhook comes. Never rejects. */
  async pushed(asked: RepositoryReference): Promise<void> {
    try {
      const repository = await resolveRepository(this.#options.store, asked);
      if (repository !== undefined && !repository.isReserved)
        await this.#request(repository.uuid, `pushed-${randomUUID()}`, "push");
    } catch (error) {
      this.#options.log.error("on-demand:push-not-requested", errorFields(error));
    }
  }

  #looksOfAll(callers: readonly string[], isWait: boolean): LooksInVain[] {
    return [...new Set(callers)].map((caller) => this.#looksOf(`${isWait ? "wait" : "git"} ${caller}`));
  }

  #looksOf(key: string): LooksInVain {
    const looks = this.#looks.get(key) ?? new LooksInVain();
    // Not again for each look: the minute is that of the first one.
    if (!this.#looks.has(key)) this.#looks.set(key, looks);
    return looks;
  }

  #begin({ uuid, verifiedAt, generation }: SyncedSource): Round {
    const ofRepository = this.#looksOf(`repository ${uuid}`);
    const looks: Round["looks"] = new Map();
    const isPaced = ofRepository.count >= MAX_UNPACED_OF_REPOSITORY;
    const result: Round["result"] = this.#logged(uuid, async () => {
      if (isPaced) await pause(PACE_MS);
      return this.#syncAfter(uuid, verifiedAt.getTime());
    }).then((found) => {
      this.#rounds.delete(uuid);
      const isInVain = found === undefined || found.generation === generation;
      for (const [one, asked] of looks) {
        one.underWay.delete(result);
        if (isInVain) one.note(asked);
      }
      return found;
    });
    const round = { result, looks };
    join(round, ofRepository, "");
    this.#rounds.set(uuid, round);
    return round;
  }

  #waitForPush(uuid: RepositoryUuid, pushedMs: number): Promise<SyncedSource | undefined> {
    const wait = this.#logged(uuid, () => this.#listedSince(uuid, pushedMs)).finally(() =>
      this.#pushes.delete(uuid),
    );
    this.#pushes.set(uuid, wait);
    return wait;
  }

  /** Never rejects. */
  async #logged(
    uuid: RepositoryUuid,
    wait: () => Promise<SyncedSource | undefined>,
  ): Promise<SyncedSource | undefined> {
    try {
      return await wait();
    } catch (error) {
      this.#options.log.error("on-demand:failed", { uuid, ...errorFields(error) });
      return undefined;
    }
  }

  /** @returns The repository once its refs were listed after this time, for this process or another. */
  async #syncAfter(uuid: RepositoryUuid, verifiedMs: number): Promise<SyncedSource | undefined> {
    // Processes that know the same listing send the same id, of which the queue takes one: a hundred that wait make one job.
    const isSent = await this.#request(uuid, `asked-${uuid}-${verifiedMs}`, "asked");
    return isSent ? this.#listedSince(uuid, verifiedMs + 1) : undefined;
  }

  /** @returns Whether the job was sent: not if no name leads to the repository. */
  async #request(uuid: RepositoryUuid, eventId: string, reason: "asked" | "push"): Promise<boolean> {
    const { store, requests } = this.#options;
    const record = await readNamedRecord(store, uuid);
    if (record === undefined) return false;
    const queuedAt = new Date().toISOString();
    const job = { kind: "repository", workspace: record.workspace, uuid, reason, queuedAt } as const;
    await requests.request([{ job, eventId }]);
    return true;
  }

  /** @returns The repository once its refs were listed at this time or later; `undefined` after the wait limit. */
  async #listedSince(uuid: RepositoryUuid, sinceMs: number): Promise<SyncedSource | undefined> {
    const { catalog, maxWaitMs, log } = this.#options;
    const startedMs = Date.now();
    let pauseMs: number = POLL_MS.first;
    let verifiedMs = 0;
    while (Date.now() - startedMs < maxWaitMs) {
      await pause(pauseMs);
      const repository = await catalog.open(uuid);
      if (repository === undefined) return undefined;
      verifiedMs = repository.verifiedAt.getTime();
      if (verifiedMs >= sinceMs) return repository;
      pauseMs = Math.min(pauseMs * POLL_MS.factor, POLL_MS.max);
    }
    this.#late.set(uuid, { verifiedMs });
    log.warn("on-demand:not-in-time", { uuid, waitedMs: maxWaitMs });
    return undefined;
  }
}

function isNewer(one: ServedSource, other: ServedSource): boolean {
  return (one.verifiedAt?.getTime() ?? 0) > (other.verifiedAt?.getTime() ?? 0);
}

function join({ result, looks: waiting }: Round, looks: LooksInVain, about: string): void {
  looks.underWay.add(result);
  const asked = waiting.get(looks) ?? new Set();
  waiting.set(looks, asked);
  if (asked.size < MAX_MISSING_REMEMBERED) asked.add(about);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}

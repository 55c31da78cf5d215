/**
 * Limits what is kept of answers, while it is written: of one repository by the size of its packs, and of one caller by the hour, in all
 * and as a share of each repository, as callers choose what is asked for. How much a repository has is listed once a minute at most. What is not kept is made anew.
 */
import { LimitExceededError } from "../../errors.ts";
import type { BlobInfo, BlobStore } from "../../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "../layout.ts";

export interface AnswerOwner {
  readonly uuid: RepositoryUuid;
  /** Of all packs of the repository. */
  readonly packBytes: number;
  /** The key of the caller; absent for the mirror itself, which prepares few answers and has no limit. */
  readonly caller?: string | undefined;
}

const MIB = 1024 * 1024;
/** Room for one clone of depth 50 of git's own repository, which takes ten seconds to make. */
const MIN_REPOSITORY_BYTES = 128 * MIB;
const PACK_SHARE = 0.25;
/** So that a list takes one request. */
const MAX_ANSWERS = 1_000;
const MAX_CALLER_BYTES_PER_HOUR = 128 * MIB;
/** Of a repository's limits; a first answer may be larger. */
const CALLER_SHARE = 1 / 8;
const HOUR_MS = 60 * 60_000;
/** Younger ones are not removed to make room: else callers would only take turns. */
const MIN_AGE_MS = HOUR_MS;
const LISTED_EVERY_MS = 60_000;
const MAX_CALLERS = 10_000;
const MAX_SHARES = 20_000;

export function repositoryQuotaBytes(packBytes: number): number {
  return Math.max(MIN_REPOSITORY_BYTES, Math.floor(packBytes * PACK_SHARE));
}

interface Usage {
  readonly listedAtMs: number;
  bytes: number;
  count: number;
}

/** What a caller has had kept since then. */
interface CallerHour {
  readonly sinceMs: number;
  bytes: number;
  count: number;
}

export class AnswerQuota {
  readonly #store: BlobStore;
  readonly #now: () => number;
  /** By repository. */
  readonly #usages = new Map<RepositoryUuid, Promise<Usage>>();
  readonly #hours = new Map<string, CallerHour>();
  /** By repository and caller. */
  readonly #shares = new Map<string, CallerHour>();

  constructor(store: BlobStore, now: () => number = Date.now) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * The chunks of an answer that is being kept, counted.
   * @throws {LimitExceededError} While iterating: there is no more room. And what `chunks` and the store throw.
   */
  async *counted(
    chunks: AsyncIterable<Uint8Array>,
    { uuid, packBytes, caller }: AnswerOwner,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (caller === undefined) return yield* chunks;
    const hour = this.#hourOf(this.#hours, caller, MAX_CALLERS);
    const share = this.#hourOf(this.#shares, `${uuid} ${caller}`, MAX_SHARES);
    const isFirst = share.count === 0;
    const maxBytes = repositoryQuotaBytes(packBytes);
    const usage = await this.#usageOf(uuid, maxBytes);
    const counted = [usage, share, hour];
    let keptBytes = 0;
    let isWhole = false;
    for (const one of counted) one.count += 1;
    try {
      for await (const chunk of chunks) {
        keptBytes += chunk.length;
        for (const one of counted) one.bytes += chunk.length;
        const isAboveShare =
          !isFirst && (share.bytes > CALLER_SHARE * maxBytes || share.count > CALLER_SHARE * MAX_ANSWERS);
        const isTooMuch = usage.bytes > maxBytes || usage.count > MAX_ANSWERS;
        if (isAboveShare || isTooMuch || hour.bytes > MAX_CALLER_BYTES_PER_HOUR)
          throw new LimitExceededError("no more answers are kept", { uuid, keptBytes });
        yield chunk;
      }
      isWhole = true;
    } finally {
      if (!isWhole) {
        for (const one of counted) {
          one.count -= 1;
          one.bytes -= keptBytes;
        }
      }
    }
  }

  #hourOf(hours: Map<string, CallerHour>, key: string, maxSize: number): CallerHour {
    const nowMs = this.#now();
    const known = hours.get(key);
    if (known !== undefined && nowMs < known.sinceMs + HOUR_MS) return known;
    const hour = { sinceMs: nowMs, bytes: 0, count: 0 };
    hours.delete(key);
    hours.set(key, hour);
    const [oldest] = hours.keys();
    if (hours.size > maxSize && oldest !== undefined) hours.delete(oldest);
    return hour;
  }

  async #usageOf(uuid: RepositoryUuid, maxBytes: number): Promise<Usage> {
    const known = await this.#usages.get(uuid)?.catch(() => undefined);
    if (known !== undefined && this.#now() < known.listedAtMs + LISTED_EVERY_MS) return known;
    const listing = this.#list(uuid, maxBytes);
    this.#usages.set(uuid, listing);
    listing.catch(() => this.#usages.delete(uuid));
    return listing;
  }

  /** Lists what there is, and removes the oldest ones where there is too much. */
  async #list(uuid: RepositoryUuid, maxBytes: number): Promise<Usage> {
    const listedAtMs = this.#now();
    const infos: BlobInfo[] = [];
    let bytes = 0;
    for await (const info of this.#store.list(repositoryKeys(uuid).answerFolder)) {
      infos.push(info);
      bytes += info.sizeBytes;
    }
    let count = infos.length;
    for (const { key, sizeBytes, modifiedAtMs } of infos.sort((a, b) => a.modifiedAtMs - b.modifiedAtMs)) {
      // A quarter is free then: the next lists need remove nothing.
      const hasRoom = bytes <= 0.75 * maxBytes && count <= 0.75 * MAX_ANSWERS;
      if (hasRoom || modifiedAtMs > listedAtMs - MIN_AGE_MS) break;
      await this.#store.delete(key);
      bytes -= sizeBytes;
      count -= 1;
    }
    return { listedAtMs, bytes, count };
  }
}

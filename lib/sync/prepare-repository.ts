/**
 * What follows a publish so that the next clones and fetches are quick: the recent objects, prepared answers, and room for these. Never
 * fails a sync.
 */
import { errorFields } from "../errors.ts";
import { prepareAnswers } from "../git/upload-pack/prepare-answers.ts";
import { repositoryQuotaBytes } from "../repo/answers/answer-quota.ts";
import { MAX_ANSWER_AGE_MS, sweepAnswers } from "../repo/answers/sweep-answers.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { openRepository, type Repository } from "../repo/repository.ts";
import { hasRecentObjects } from "../repo/stored-recent.ts";
import { writeRecentObjects } from "../repo/write-recent.ts";
import { type ContextOptions, type SyncContext, syncContext } from "./sync-context.ts";

/** A list costs as much as a write. What a few publishes of a small repository leave costs less: rarely 100 MB for some days. */
const SWEPT_EVERY = 8;
/** A sync may publish a second generation, a compaction, which is not followed by this: of two in a row one is. */
function isSweptAt(generation: number): boolean {
  return (generation + 1) % SWEPT_EVERY < 2;
}

const SMALL_REPOSITORY_BYTES = 64 * 1024 * 1024;

/** To be called after a publish. */
export async function prepareRepository(
  uuid: RepositoryUuid,
  options: Omit<ContextOptions, "onProgress">,
): Promise<void> {
  const context = syncContext(options);
  const { storage, log, signal, now } = context;
  const startedMs = Date.now();
  try {
    const repository = await openRepository(storage, uuid);
    await keepRecent(repository, context);
    if (storage.answers === undefined) return;
    const { keys, madeCount } = await prepareAnswers(repository, signal);
    const limits = {
      maxTotalBytes: repositoryQuotaBytes(repository.packBytes),
      maxAgeMs: MAX_ANSWER_AGE_MS,
    };
    const { generation } = repository.manifest;
    const isSweeping = repository.packBytes > SMALL_REPOSITORY_BYTES || isSweptAt(generation);
    const removed = isSweeping ? await sweepAnswers(storage.store, uuid, keys, { now: now(), limits }) : 0;
    if (madeCount + removed > 0)
      log.info("answers:prepared", { uuid, made: madeCount, removed, ms: Date.now() - startedMs });
  } catch (error) {
    if (!signal?.aborted) log.warn("answers:not-prepared", { uuid, ...errorFields(error) });
  }
}

/** Writes the recent objects where the generation has none: two requests if it has. */
export async function prepareRecent(
  uuid: RepositoryUuid,
  options: Omit<ContextOptions, "onProgress">,
): Promise<void> {
  const context = syncContext(options);
  const { storage, log, signal } = context;
  try {
    const repository = await openRepository(storage, uuid);
    const isEmpty = repository.manifest.packs.length === 0;
    if (!isEmpty && !(await hasRecentObjects(storage.store, repository)))
      await keepRecent(repository, context);
  } catch (error) {
    if (!signal?.aborted) log.warn("recent:not-written", { uuid, ...errorFields(error) });
  }
}

async function keepRecent(repository: Repository, { storage, log, signal }: SyncContext): Promise<void> {
  const { uuid } = repository;
  const startedMs = Date.now();
  try {
    const reader = repository.forReader(signal);
    const [objects, refList] = await Promise.all([reader.openObjects(), reader.readRefs()]);
    const bytes = await writeRecentObjects(storage.store, repository, { objects, refList });
    const ms = Date.now() - startedMs;
    if (bytes === undefined) log.info("recent:none-fits", { uuid, ms });
    else log.info("recent:written", { uuid, bytes, ms });
  } catch (error) {
    if (!signal?.aborted) log.warn("recent:not-written", { uuid, ...errorFields(error) });
  }
}

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
  await unlessItFails("answers:not-prepared", uuid, context, async () => {
    const repository = await openRepository(context.storage, uuid);
    await unlessItFails("recent:not-written", uuid, context, () => keepRecent(repository, context));
    if (context.storage.answers !== undefined) await keepAnswers(repository, context);
  });
}

/** Writes the recent objects where the generation has none: two requests if it has. */
export async function prepareRecent(
  uuid: RepositoryUuid,
  options: Omit<ContextOptions, "onProgress">,
): Promise<void> {
  const context = syncContext(options);
  const { storage } = context;
  await unlessItFails("recent:not-written", uuid, context, async () => {
    const repository = await openRepository(storage, uuid);
    const isEmpty = repository.manifest.packs.length === 0;
    if (!isEmpty && !(await hasRecentObjects(storage.store, repository)))
      await keepRecent(repository, context);
  });
}

async function unlessItFails(
  event: "answers:not-prepared" | "recent:not-written",
  uuid: RepositoryUuid,
  { log, signal }: SyncContext,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal?.aborted) log.warn(event, { uuid, ...errorFields(error) });
  }
}

async function keepRecent(repository: Repository, { storage, log, signal }: SyncContext): Promise<void> {
  const { uuid } = repository;
  const startedMs = Date.now();
  const reader = repository.forReader(signal);
  const [objects, refList] = await Promise.all([reader.openObjects(), reader.readRefs()]);
  const checksEntries = isSweptAt(repository.manifest.generation);
  const bytes = await writeRecentObjects(storage.store, repository, { objects, refList, checksEntries });
  const ms = Date.now() - startedMs;
  if (bytes === undefined) log.info("recent:none-fits", { uuid, ms });
  else log.info("recent:written", { uuid, bytes, ms });
}

async function keepAnswers(
  repository: Repository,
  { storage, log, signal, now }: SyncContext,
): Promise<void> {
  const { uuid, packBytes } = repository;
  const startedMs = Date.now();
  const { keys, madeCount } = await prepareAnswers(repository, signal);
  const limits = { maxTotalBytes: repositoryQuotaBytes(packBytes), maxAgeMs: MAX_ANSWER_AGE_MS };
  const { generation } = repository.manifest;
  const isSweeping = packBytes > SMALL_REPOSITORY_BYTES || isSweptAt(generation);
  const removed = isSweeping ? await sweepAnswers(storage.store, uuid, keys, { now: now(), limits }) : 0;
  if (madeCount + removed > 0)
    log.info("answers:prepared", { uuid, made: madeCount, removed, ms: Date.now() - startedMs });
}

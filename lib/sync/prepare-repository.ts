/** What follows a publish so that the next clones are quick: prepared answers, and room for them. Never fails a sync. */
import { errorFields } from "../errors.ts";
import { prepareAnswers } from "../git/upload-pack/prepare-answers.ts";
import { repositoryQuotaBytes } from "../repo/answers/answer-quota.ts";
import { MAX_ANSWER_AGE_MS, sweepAnswers } from "../repo/answers/sweep-answers.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { openRepository } from "../repo/repository.ts";
import { type ContextOptions, syncContext } from "./sync-context.ts";

/** A list costs as much as a write. What a few publishes of a small repository leave costs less: rarely 100 MB for some days. */
const SWEPT_EVERY = 8;
/** A sync may publish a second generation, a compaction, which is not followed by this: of two in a row one is. */
function isSweptAt(generation: number): boolean {
  return (generation + 1) % SWEPT_EVERY < 2;
}

const SMALL_REPOSITORY_BYTES = 64 * 1024 * 1024;

/** To be called after a publish. Does nothing where answers are not shared. */
export async function prepareRepository(
  uuid: RepositoryUuid,
  options: Omit<ContextOptions, "onProgress">,
): Promise<void> {
  const { storage, log, signal, now } = syncContext(options);
  if (storage.answers === undefined) return;
  const startedMs = Date.now();
  try {
    const repository = await openRepository(storage, uuid);
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

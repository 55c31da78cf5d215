/** What follows a publish so that the next clones are quick: prepared answers, and room for them. Never fails a sync. */
import { errorFields } from "../errors.ts";
import { prepareAnswers } from "../git/upload-pack/prepare-answers.ts";
import type { Logger } from "../log.ts";
import { sweepAnswers } from "../repo/answers/sweep-answers.ts";
import type { RepositoryUuid } from "../repo/layout.ts";
import { openRepository, type RepositoryStorage } from "../repo/repository.ts";

export interface PrepareOptions {
  readonly storage: RepositoryStorage;
  readonly log: Logger;
  /** Ends the work: its time is up, or the process is to end. */
  readonly signal?: AbortSignal | undefined;
  readonly now?: () => Date;
}

/** To be called after a publish. Does nothing where answers are not shared. */
export async function prepareRepository(uuid: RepositoryUuid, options: PrepareOptions): Promise<void> {
  const { storage, log, signal, now = () => new Date() } = options;
  if (storage.answers === undefined) return;
  const startedMs = Date.now();
  try {
    const { keys, madeCount } = await prepareAnswers(await openRepository(storage, uuid), signal);
    const removed = await sweepAnswers(storage.store, uuid, keys, { now: now() });
    if (madeCount + removed > 0)
      log.info("answers:prepared", { uuid, made: madeCount, removed, ms: Date.now() - startedMs });
  } catch (error) {
    if (!signal?.aborted) log.warn("answers:not-prepared", { uuid, ...errorFields(error) });
  }
}

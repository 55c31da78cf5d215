/** The mirror's storage and configuration, as its processes open them; what is wrong with them is logged. */
import { errorFields } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Measurement } from "../../lib/metrics.ts";
import { configReader } from "../../lib/mirror/config-store.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import { AnswerSharing, type AnswerSharingOptions } from "../../lib/repo/answers/answer-sharing.ts";
import { TeeBudget } from "../../lib/repo/answers/tee-buffer.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import type { BlobStore } from "../../lib/store/blob-store.ts";
import { BlockCache, DEFAULT_BLOCK_CACHE_LIMITS } from "../../lib/store/block-cache.ts";
import { MEMORY } from "./memory.ts";

export function repositoryStorage(
  store: BlobStore,
  log: Logger,
  options: Pick<AnswerSharingOptions, "temporaryFolder" | "maxKeepingWaitMs" | "maxBytes"> = {},
): RepositoryStorage {
  const logAs = (event: string, measured?: Measurement) => (error: unknown, key: string) =>
    log.error(event, { key, ...errorFields(error) }, measured);
  const budget = new TeeBudget(undefined, MEMORY.tees);
  const answers = new AnswerSharing({ ...options, store, budget, onFailure: logAs("answers:failed") });
  const onDamage = logAs("store:damaged", { DamagedBlobs: 1 });
  const blocks = new BlockCache(store, { ...DEFAULT_BLOCK_CACHE_LIMITS, maxCachedBytes: MEMORY.blocks });
  return { store, blocks, answers, onDamage };
}

/** @param copies - Whether the process keeps a copy of the last valid configuration: it needs the right to write it. */
export function loggedConfig(store: BlobStore, log: Logger, copies = false): () => Promise<MirrorConfig> {
  return configReader(store, {
    onInvalid: (error) =>
      log.error("config:invalid", { effect: "the last valid one stays in use", ...errorFields(error) }),
    ...(copies && { copy: { onFailed: (error) => log.warn("config:copy-failed", errorFields(error)) } }),
  });
}

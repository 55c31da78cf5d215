/** Keeps what finished answers take in the store within limits. Removing any of them, also one being read, does no harm. */
import type { BlobInfo, BlobStore } from "../../store/blob-store.ts";
import { type RepositoryUuid, repositoryKeys } from "../layout.ts";

export interface AnswerLimits {
  /** Of one repository's answers; see `repositoryQuotaBytes`. */
  readonly maxTotalBytes: number;
  readonly maxAgeMs: number;
}

/** CI is done with a commit in hours, and is restarted within days. */
export const MAX_ANSWER_AGE_MS = 3 * 24 * 60 * 60 * 1000;

/**
 * Removes those that are too old, then the oldest until the rest is within the limit. For syncs: it lists.
 * @param preparedKeys - Answers that stay in any case.
 * @returns How many it removed.
 */
export async function sweepAnswers(
  store: BlobStore,
  uuid: RepositoryUuid,
  preparedKeys: readonly string[],
  { now, limits }: { readonly now: Date; readonly limits: AnswerLimits },
): Promise<number> {
  const keys = repositoryKeys(uuid);
  const staying = new Set(preparedKeys.map((answerKey) => keys.answer(answerKey)));
  const others: BlobInfo[] = [];
  let keptBytes = 0;
  for await (const info of store.list(keys.answerFolder)) {
    if (staying.has(info.key)) keptBytes += info.sizeBytes;
    else others.push(info);
  }
  let removedCount = 0;
  for (const { key, sizeBytes, modifiedAtMs } of others.toSorted((a, b) => b.modifiedAtMs - a.modifiedAtMs)) {
    keptBytes += sizeBytes;
    if (keptBytes <= limits.maxTotalBytes && modifiedAtMs >= now.getTime() - limits.maxAgeMs) continue;
    keptBytes -= sizeBytes;
    await store.delete(key);
    removedCount += 1;
  }
  return removedCount;
}

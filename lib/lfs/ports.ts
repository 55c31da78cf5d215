/** What copying asks of the primary. */
import type { LfsAction, LfsEntry, LfsObject } from "../bitbucket/lfs-batch.ts";
import type { LfsDownload } from "../bitbucket/lfs-client.ts";

/** One repository's files at the primary, as the mirror's own account sees them. */
export interface LfsPrimary {
  /** At most 100 objects. Errors as of `askLfsBatch`. */
  ask(objects: readonly LfsObject[], signal: AbortSignal): Promise<ReadonlyMap<string, LfsEntry>>;
  /** Errors as of `openLfsDownload`. */
  open(action: LfsAction, offsetBytes: number, signal: AbortSignal): Promise<LfsDownload>;
}

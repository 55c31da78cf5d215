/** What a sync announces when it has published a repository. */
import type { RepositoryUuid } from "../repo/layout.ts";
import type { RepositoryFacts } from "./sync-job.ts";

interface ChangedRef {
  /** Text whose characters are bytes, as git has names. */
  readonly name: string;
  /** Absent for a new ref. */
  readonly oldId?: string;
  /** Absent for a deleted ref. */
  readonly newId?: string;
}

export interface RepositoryNews {
  readonly uuid: RepositoryUuid;
  readonly facts: RepositoryFacts;
  readonly generation: number;
  /** Of all refs of the generation. */
  readonly refsSha256: string;
  readonly isFirst: boolean;
  /** `undefined` where they are unknown: the process that published was killed before it announced them. */
  readonly changes: readonly ChangedRef[] | undefined;
}

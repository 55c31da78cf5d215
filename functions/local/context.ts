import type { Logger } from "../../lib/log.ts";
import type { MirrorConfig } from "../../lib/mirror/mirror-config.ts";
import type { RepositoryStorage } from "../../lib/repo/repository.ts";
import type { BitbucketAccess } from "../wiring/bitbucket-access.ts";
import type { ProgressLine } from "./progress-line.ts";

/** What all parts of a mirror in one process share. */
export interface LocalContext {
  readonly storage: RepositoryStorage;
  readonly readConfig: () => Promise<MirrorConfig>;
  readonly bitbucket: BitbucketAccess;
  /** For packs while they are read; by default the system's. */
  readonly temporaryFolder: string | undefined;
  readonly line: ProgressLine;
  readonly log: Logger;
}

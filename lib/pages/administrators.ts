/** Who administers which workspace, by Bitbucket's answer to the caller's own credential. */
import { createHmac, randomBytes } from "node:crypto";
import { UpstreamError } from "../errors.ts";
import { lruCache } from "../lru-cache.ts";
import { findWorkspace, type MirrorConfig, type MirroredWorkspace } from "../mirror/mirror-config.ts";
import { readWorkspaceIndex } from "../mirror/workspace-index.ts";
import type { WholeBlobs } from "../store/blob-store.ts";
import type { Caller } from "./caller.ts";
import type { Administration } from "./ports.ts";
import { inTurns } from "./visible-repositories.ts";

/** How long an answer counts: a right that ends at Bitbucket ends here after this time. */
export const ADMINISTRATOR_MS = 60_000;
const MAX_CALLERS = 500;
const CONCURRENT_READS = 8;

/** Slugs in lower case, and uuids. */
type Administered = ReadonlyMap<string, string | undefined>;
const NONE: Administered = new Map();

export interface AdministratorsOptions {
  readonly administered: Administration["administered"];
  readonly store: WholeBlobs;
  readonly now: () => number;
}

export class Administrators {
  readonly #options: AdministratorsOptions;
  /** Names callers in this process's memory. */
  readonly #secret = randomBytes(32);
  readonly #answers;

  constructor(options: AdministratorsOptions) {
    this.#options = options;
    this.#answers = lruCache<Promise<Administered>>(MAX_CALLERS, {
      ttlMs: ADMINISTRATOR_MS,
      now: options.now,
    });
  }

  /**
   * At most one request to Bitbucket a minute for each credential. A mirrored workspace that has been listed is not the one that has its
   * name at Bitbucket now, if the uuids differ, the list is of a release that noted none, or it is damaged.
   * @returns Those of the configuration; none for a credential that REST does not take, or of which Bitbucket does not say it.
   * @throws {UpstreamError} Bitbucket cannot be asked.
   */
  async ofMirrored(
    caller: Caller,
    readConfig: () => Promise<MirrorConfig>,
  ): Promise<readonly MirroredWorkspace[]> {
    const administered = await this.#of(caller);
    const named = (await readConfig()).workspaces.filter(({ workspace }) =>
      administered.has(workspace.toLowerCase()),
    );
    const own = new Set<MirroredWorkspace>();
    await inTurns(named, CONCURRENT_READS, async (one) => {
      const { value, damage } = await readWorkspaceIndex(this.#options.store, one.workspace);
      if (damage !== undefined) return;
      // Until the first list, the mirror itself knows no more than the name.
      if (value === undefined) return void own.add(one);
      if (
        value.workspaceUuid !== undefined &&
        value.workspaceUuid === administered.get(one.workspace.toLowerCase())
      )
        own.add(one);
    });
    return named.filter((one) => own.has(one));
  }

  /** @returns The names of those that the configuration does not have. Errors as of {@link ofMirrored}. */
  async notMirrored(caller: Caller, readConfig: () => Promise<MirrorConfig>): Promise<readonly string[]> {
    const administered = await this.#of(caller);
    const config = await readConfig();
    return [...administered.keys()].filter((name) => findWorkspace(config, name) === undefined).toSorted();
  }

  async #of({ authorization, rest }: Caller): Promise<Administered> {
    if (rest === undefined) return NONE;
    const key = createHmac("sha256", this.#secret).update(authorization).digest("base64");
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const asked = this.#ask(rest);
    this.#answers.set(key, asked);
    asked.catch(() => {
      if (this.#answers.get(key) === asked) this.#answers.delete(key);
    });
    return asked;
  }

  async #ask(rest: string): Promise<Administered> {
    try {
      const workspaces = await this.#options.administered(rest);
      return new Map(workspaces.map(({ slug, uuid }) => [slug, uuid]));
    } catch (error) {
      const status = error instanceof UpstreamError ? error.context["status"] : undefined;
      // An access token, or one without the scope.
      if (status === 401 || status === 403) return NONE;
      throw error;
    }
  }
}

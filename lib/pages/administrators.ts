/** Who administers which workspace, by Bitbucket's answer to the caller's own credential. */
import { createHmac, randomBytes } from "node:crypto";
import { UpstreamError } from "../errors.ts";
import { lruCache } from "../lru-cache.ts";
import type { MirrorConfig, MirroredWorkspace } from "../mirror/mirror-config.ts";
import type { Caller } from "./caller.ts";
import type { Administration } from "./ports.ts";

/** How long an answer counts: a right that ends at Bitbucket ends here after this time. */
export const ADMINISTRATOR_MS = 60_000;
const MAX_CALLERS = 500;

const NONE: ReadonlySet<string> = new Set();

export class Administrators {
  readonly #administered: Administration["administered"];
  /** Names callers in this process's memory. */
  readonly #secret = randomBytes(32);
  readonly #answers;

  constructor(administered: Administration["administered"], now: () => number) {
    this.#administered = administered;
    this.#answers = lruCache<Promise<ReadonlySet<string>>>(MAX_CALLERS, { ttlMs: ADMINISTRATOR_MS, now });
  }

  /**
   * At most one request to Bitbucket a minute for each credential.
   * @returns Names in lower case; none for a credential that REST does not take, or of which Bitbucket does not say it.
   * @throws {UpstreamError} Bitbucket cannot be asked.
   */
  async of({ authorization, rest }: Caller): Promise<ReadonlySet<string>> {
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

  /** @returns Those of the configuration. Errors as of `of`. */
  async ofMirrored(
    caller: Caller,
    readConfig: () => Promise<MirrorConfig>,
  ): Promise<readonly MirroredWorkspace[]> {
    const administered = await this.of(caller);
    return (await readConfig()).workspaces.filter(({ workspace }) =>
      administered.has(workspace.toLowerCase()),
    );
  }

  async #ask(rest: string): Promise<ReadonlySet<string>> {
    try {
      return new Set(await this.#administered(rest));
    } catch (error) {
      const status = error instanceof UpstreamError ? error.context["status"] : undefined;
      // An access token, or one without the scope.
      if (status === 401 || status === 403) return NONE;
      throw error;
    }
  }
}

/** Bitbucket, as the account of one workspace sees it. */
import {
  type BitbucketAccount,
  gitAuthorization,
  restAuthorization,
} from "../../lib/bitbucket/credential.ts";
import { bitbucketHooksApi } from "../../lib/bitbucket/hooks-api.ts";
import { lfsByUuid } from "../../lib/bitbucket/lfs-by-uuid.ts";
import { lfsClient } from "../../lib/bitbucket/lfs-client.ts";
import { measuredFetch } from "../../lib/bitbucket/measured-fetch.ts";
import { RequestBudget } from "../../lib/bitbucket/request-budget.ts";
import { bitbucketRestApi, credentialQuestionUrl } from "../../lib/bitbucket/rest-api.ts";
import { SecondCredentials } from "../../lib/bitbucket/second-credential.ts";
import { upstreamByUuid } from "../../lib/bitbucket/upstream-by-uuid.ts";
import { upstreamGit } from "../../lib/bitbucket/upstream-git.ts";
import { AGENT } from "../../lib/config.ts";
import type { LfsPrimary } from "../../lib/lfs/ports.ts";
import type { LfsRepositoryName } from "../../lib/lfs/run-lfs-job.ts";
import type { Logger } from "../../lib/log.ts";
import type { MirroredWorkspace } from "../../lib/mirror/mirror-config.ts";
import { RetryBudget } from "../../lib/retry-read.ts";
import type { PrimaryAccess } from "../../lib/sync/job-context.ts";

export interface BitbucketAccessOptions {
  readonly apiUrl: string;
  readonly gitUrl: string;
  /** Read anew for each job: a token that was replaced must not wait for a new process. */
  readonly accountOf: (workspace: MirroredWorkspace) => Promise<BitbucketAccount>;
  /** What syncs may ask of REST; where it is absent, as much as a new process. */
  readonly syncBudgets?: SyncBudgets;
  /** Ends what runs. */
  readonly signal?: AbortSignal;
  /** Counts the primary's errors. */
  readonly log?: Logger;
}

/** Beside reconcile's 400, of the 1,000 an hour that Bitbucket gives a credential. */
const SYNC_REQUESTS_PER_HOUR = 600;

/** Of this process: an outage must not double its requests. */
export const retryBudget = new RetryBudget();

/** Of this process as well. */
const secondCredentials = new SecondCredentials();

/** What the syncs of one process may ask of REST, for each credential; a 429 that one has got counts for the next ones. */
export class SyncBudgets {
  readonly #budgets = new Map<string, RequestBudget>();
  readonly #now: () => Date;

  constructor(now: () => Date = () => new Date()) {
    this.#now = now;
  }

  of({ workspace, credential }: MirroredWorkspace): RequestBudget {
    const key = credential ?? `of ${workspace}`;
    const budget = this.#budgets.get(key) ?? new RequestBudget(undefined, this.#now, SYNC_REQUESTS_PER_HOUR);
    this.#budgets.set(key, budget);
    return budget;
  }
}

export type BitbucketAccess = ReturnType<typeof bitbucketAccess>;

export function bitbucketAccess(options: BitbucketAccessOptions) {
  const { apiUrl, gitUrl, accountOf, signal, log, syncBudgets = new SyncBudgets() } = options;
  const fetch = log === undefined ? globalThis.fetch : measuredFetch(globalThis.fetch, log);
  const stoppable = signal === undefined ? fetch : fetchUntil(signal, fetch);
  const fetchFor = (account: BitbucketAccount, { workspace }: MirroredWorkspace, way: typeof fetch) => {
    const questionUrl = credentialQuestionUrl(apiUrl, workspace);
    return secondCredentials.fetchFor({ account, questionUrl, fetch: way, log });
  };
  const restOf = (account: BitbucketAccount, workspace: MirroredWorkspace, way: typeof fetch) => {
    const authorization = restAuthorization(account);
    return { fetch: fetchFor(account, workspace, way), retryBudget, apiUrl, authorization };
  };
  const limitedApi = (account: BitbucketAccount, workspace: MirroredWorkspace) =>
    bitbucketRestApi(restOf(account, workspace, syncBudgets.of(workspace).limit(stoppable)));
  /** As the account sees them at this address, such as the mirror's own. */
  const lfsAt = async (workspace: MirroredWorkspace, repositoryUrl: string): Promise<LfsPrimary> => {
    const account = await accountOf(workspace);
    const authorization = gitAuthorization(account);
    return lfsClient({
      fetch: fetchFor(account, workspace, fetch),
      repositoryUrl,
      authorization,
      agent: AGENT,
    });
  };
  return {
    async primaryOf(workspace: MirroredWorkspace): Promise<PrimaryAccess> {
      const account = await accountOf(workspace);
      const upstreamAt = (owner: string, slug: string) =>
        upstreamGit({
          repositoryUrl: `${gitUrl}/${owner}/${encodeURIComponent(slug)}.git`,
          authorization: gitAuthorization(account),
          agent: AGENT,
          fetch: fetchFor(account, workspace, fetch),
          retryBudget,
          ...(signal && { signal }),
        });
      return {
        api: limitedApi(account, workspace),
        upstreamOf: (uuid, { workspace: owner, slug }) =>
          upstreamByUuid({ byUuid: upstreamAt(owner, `{${uuid}}`), byName: upstreamAt(owner, slug) }),
      };
    },
    apiOf: async (workspace: MirroredWorkspace, limit: (way: typeof fetch) => typeof fetch) =>
      bitbucketRestApi(restOf(await accountOf(workspace), workspace, limit(stoppable))),
    hooksOf: async (workspace: MirroredWorkspace) =>
      bitbucketHooksApi(restOf(await accountOf(workspace), workspace, stoppable)),
    lfsAt,
    async lfsOf(workspace: MirroredWorkspace, repository: LfsRepositoryName): Promise<LfsPrimary> {
      const { uuid, workspace: owner, slug, foundBy } = repository;
      const named = (name: string) => lfsAt(workspace, `${gitUrl}/${owner}/${encodeURIComponent(name)}.git`);
      const api = limitedApi(await accountOf(workspace), workspace);
      return lfsByUuid({
        byUuid: foundBy !== "name" ? await named(`{${uuid}}`) : undefined,
        byName: await named(slug),
        isNameRight: async () => (await api.repository(owner, slug)).uuid === uuid,
      });
    },
  };
}

function fetchUntil(stop: AbortSignal, fetch: typeof globalThis.fetch): typeof fetch {
  return (input, init = {}) => {
    const signals = [stop, init.signal].filter((signal) => signal instanceof AbortSignal);
    return fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
}

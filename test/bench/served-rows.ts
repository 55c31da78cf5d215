/** Rows of the servers' side: which request of stock git each sends, and to which repository. */
import type { CannedRequest } from "./canned-exchange.ts";
import { openFetchContest } from "./fetch-contest.ts";
import { fetchArguments, heldBehind, makeClientBehind } from "./followed-repository.ts";
import type { Contest } from "./measurement.ts";
import type { Preparations } from "./preparations.ts";
import { recordRequests } from "./record-requests.ts";
import type { Goals, Row } from "./row.ts";
import { verifyLists, verifyPacks } from "./verify-answers.ts";

interface CloneRowOptions {
  /** Of git clone. */
  readonly args: readonly string[];
  readonly goals: Goals;
  readonly repeats?: number;
  readonly clients?: number;
}

/** The request for the pack in a clone of the whole repository. */
export function cloneRow(name: string, { args, goals, repeats = 1, clients = 1 }: CloneRowOptions): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const [repository, storeFolder] = [await preparations.whole(), await preparations.wholeStore()];
      const neverFinished = workspace.path("never-finished.git");
      const requests = await recordRequests(workspace, {
        root: repository.root,
        args: (url) => ["clone", "--quiet", ...args, url, neverFinished],
      });
      const request = packRequest(requests);
      return openFetchContest(
        workspace,
        { ...preparations, repository, storeFolder },
        {
          requests: [request],
          repeats,
          clients,
          verify: (urls) => verifyPacks(workspace, urls, request, { objectFolders: [], tips: [] }),
        },
      );
    },
  };
}

interface BehindRowOptions {
  readonly pushes: number;
  readonly repeats: number;
  readonly storeOf: (preparations: Preparations) => Promise<string>;
  readonly goals: Goals;
}

/** The last request of a fetch, which names what the client has; rounds of negotiation before it do not count. */
export function behindRow(name: string, { pushes, repeats, storeOf, goals }: BehindRowOptions): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const followed = await preparations.followed();
      const [{ repository }, storeFolder] = [followed, await storeOf(preparations)];
      const cwd = await makeClientBehind(workspace, followed, pushes);
      const requests = await recordRequests(workspace, { root: repository.root, args: fetchArguments, cwd });
      const request = packRequest(requests);
      const held = heldBehind(followed, pushes);
      return openFetchContest(
        workspace,
        { ...preparations, repository, storeFolder },
        {
          requests: [request],
          repeats,
          clients: 1,
          // All but the advertisement, the list of refs, and the request that is measured.
          setup: { negotiationRounds: requests.length - 3 },
          verify: (urls) => verifyPacks(workspace, urls, request, held),
        },
      );
    },
  };
}

const LIST_REPEATS = 20;

/** All that a fetch asks when the client has everything. */
export function nothingNewRow(name: string, goals: Goals): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const followed = await preparations.followed();
      const [{ repository }, storeFolder] = [followed, await preparations.followedStore()];
      const cwd = await makeClientBehind(workspace, followed, 0);
      const requests = await recordRequests(workspace, { root: repository.root, args: fetchArguments, cwd });
      return openFetchContest(
        workspace,
        { ...preparations, repository, storeFolder },
        { requests, repeats: LIST_REPEATS, clients: 1, verify: (urls) => verifyLists(urls, requests) },
      );
    },
  };
}

/** The list of all refs of the whole repository. */
export function listRow(name: string, goals: Goals): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const [repository, storeFolder] = [await preparations.whole(), await preparations.wholeStore()];
      const asked = await recordRequests(workspace, {
        root: repository.root,
        args: (url) => ["ls-remote", "--quiet", url],
      });
      const requests = asked.slice(-1);
      return openFetchContest(
        workspace,
        { ...preparations, repository, storeFolder },
        { requests, repeats: LIST_REPEATS, clients: 1, verify: (urls) => verifyLists(urls, requests) },
      );
    },
  };
}

/** @throws {Error} git did not ask for a pack. */
function packRequest(requests: readonly CannedRequest[]): CannedRequest {
  const request = requests.at(-1);
  if (request?.method !== "POST") throw new Error("git asked for nothing");
  return request;
}

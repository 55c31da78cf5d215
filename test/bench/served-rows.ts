/** Rows of the servers' side: which request of stock git each sends, and to which repository. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseObjectId } from "../../lib/git/object-id.ts";
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
  readonly of?: ServedRepository;
  /** All that git asks, not only for the pack. */
  readonly isWhole?: true;
  readonly processes?: number;
}

/** Which of the bench's repositories a row asks for. */
type ServedRepository = "whole" | "many-refs" | "small";

async function servedBy(preparations: Preparations, of: ServedRepository) {
  if (of === "small")
    return { repository: await preparations.small(), storeFolder: await preparations.smallStore() };
  return of === "whole"
    ? { repository: await preparations.whole(), storeFolder: await preparations.wholeStore() }
    : { repository: await preparations.manyRefs(), storeFolder: await preparations.manyRefsStore() };
}

/** The request for the pack in a clone. */
export function cloneRow(
  name: string,
  { args, goals, repeats = 1, clients = 1, of = "whole", isWhole, processes = 1 }: CloneRowOptions,
): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const { repository, storeFolder } = await servedBy(preparations, of);
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
          requests: isWhole ? requests : [request],
          ...{ repeats, clients, processes },
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

/** How many commits of the default branch the client lacks. */
const LACKED_COMMITS = 10;

/** A fetch of the default branch alone, by a client that has nearly all of it, where there are many refs. */
export function oneOfManyRow(name: string, goals: Goals): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const { repository, storeFolder } = await servedBy(preparations, "many-refs");
      const { head, folder } = repository;
      const tip = "ref" in head ? head.ref : head.id;
      const held = await workspace.git(["rev-parse", `${tip}~${LACKED_COMMITS}`], { cwd: folder });
      const client = await workspace.newFolder("one-of-many");
      await workspace.git(["init", "--quiet", "--bare", client]);
      const heldFolder = join(client, "held");
      await mkdir(join(heldFolder, "pack"), { recursive: true });
      const packArgs = ["pack-objects", "--quiet", "--revs", join(heldFolder, "pack", "pack")];
      await workspace.git(packArgs, { cwd: folder, input: `${held}\n` });
      await writeFile(join(client, "objects/info/alternates"), `${heldFolder}\n`);
      await workspace.git(["update-ref", "refs/heads/held", held], { cwd: client });
      const args = (url: string) => ["fetch", "--quiet", "--no-tags", url, `+${tip}:refs/heads/fetched`];
      const requests = await recordRequests(workspace, { root: repository.root, args, cwd: client });
      const request = packRequest(requests);
      return openFetchContest(
        workspace,
        { ...preparations, repository, storeFolder },
        {
          requests: [request],
          repeats: LIST_REPEATS,
          clients: 1,
          verify: (urls) =>
            verifyPacks(workspace, urls, request, {
              objectFolders: [heldFolder],
              tips: [parseObjectId(held)],
            }),
        },
      );
    },
  };
}

/** The list of all refs. */
export function listRow(name: string, goals: Goals, of: ServedRepository = "whole"): Row {
  return {
    name,
    goals,
    isServed: true,
    async open(preparations): Promise<Contest> {
      const { workspace } = preparations;
      const { repository, storeFolder } = await servedBy(preparations, of);
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

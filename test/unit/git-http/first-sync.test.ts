/** Requests for a repository that is selected, and whose first sync is not done. */
import { beforeEach, expect, test } from "vitest";
import { FirstSync } from "../../../lib/git-http/first-sync.ts";
import type { FindNeeds } from "../../../lib/git-http/served-source.ts";
import type { HttpResponse } from "../../../lib/http/message.ts";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import type { SyncRequests } from "../../../lib/mirror/sync-job.ts";
import { parseRepositoryUuid } from "../../../lib/repo/layout.ts";
import { releaseReservedName } from "../../../lib/repo/name-index.ts";
import type { RepositoryReference } from "../../../lib/repo/names.ts";
import type { Repository } from "../../../lib/repo/repository.ts";
import { readResponse } from "../../support/http-request.ts";
import { reserve } from "../../support/named-repository.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";

const UUID = parseRepositoryUuid("0a1b2c3d-0000-4000-8000-000000000001");
const SITE: RepositoryReference = { kind: "name", workspace: "acme", slug: "site" };
const NEVER = new AbortController().signal;
const REPOSITORY = { uuid: UUID } as Repository;
const NO_CACHE = { "cache-control": "no-cache, max-age=0, must-revalidate" };

let store: MemoryBlobStore;
let jobs: unknown[];
let errors: unknown[];
/** What each look into the catalog asks for. */
let looks: { readonly asked: RepositoryReference; readonly needs: unknown }[];
/** Called at each look. */
let find: () => Promise<Repository | undefined>;

beforeEach(async () => {
  store = new MemoryBlobStore();
  jobs = [];
  errors = [];
  looks = [];
  find = async () => undefined;
  await reserve(store, "site", UUID);
});

interface Parts {
  readonly asked?: RepositoryReference;
  readonly needs?: Pick<FindNeeds, "primaryPath">;
  readonly primaryUrl?: string;
  readonly signal?: AbortSignal;
  readonly maxWaitMs?: number;
  readonly request?: SyncRequests["request"];
}

function firstSync({ maxWaitMs = 60_000, request }: Parts): FirstSync {
  return new FirstSync({
    catalog: {
      find: async (asked, needs) => {
        looks.push({ asked, needs });
        return find();
      },
    },
    store,
    requests: { request: request ?? (async (requested) => void jobs.push(...requested)) },
    maxWaitMs,
    log: { ...SILENT_LOGGER, error: (event, fields) => errors.push({ event, ...fields }) },
  });
}

const wait = ({ asked = SITE, needs, primaryUrl, signal = NEVER, ...parts }: Parts = {}) =>
  firstSync(parts).wait(asked, { refs: true, uuid: UUID, ...needs }, primaryUrl, signal);

const textOf = async (answer: Repository | HttpResponse | undefined) => {
  if (answer === undefined || !("status" in answer)) throw new Error("not an answer to the caller");
  return readResponse(answer);
};

const JOB = {
  job: { kind: "repository", workspace: "acme", uuid: UUID, reason: "asked", queuedAt: expect.any(String) },
  eventId: `first-${UUID}`,
};

test("a caller who may read has it synced, and gets it once it is here", async () => {
  find = async () => (looks.length === 3 ? REPOSITORY : undefined);
  expect(await wait({ needs: { primaryPath: "acme/site" } })).toBe(REPOSITORY);
  expect(jobs).toEqual([JOB]);
  const needs = { refs: true, primaryPath: "acme/site", uuid: UUID };
  expect(looks).toEqual(Array.from({ length: 3 }, () => ({ asked: SITE, needs })));
});

test("after the limit the answer says where it is meanwhile, and when to come back", async () => {
  const answer = await textOf(
    await wait({ maxWaitMs: 120, primaryUrl: "https://bitbucket.example/acme/site.git" }),
  );
  expect(answer).toMatchObject({
    status: 503,
    text: "this repository is being mirrored for the first time; meanwhile it is at https://bitbucket.example/acme/site.git\n",
    headers: { ...NO_CACHE, "retry-after": "60" },
  });
  expect(looks.length).toBeGreaterThan(0);
  expect(jobs).toEqual([JOB]);
});

test("without a wait, or for a caller who has gone, nothing is looked for", async () => {
  for (const parts of [{ maxWaitMs: 0 }, { signal: AbortSignal.abort() }]) {
    const { text } = await textOf(await wait(parts));
    expect(text).toBe("this repository is being mirrored for the first time\n");
  }
  expect(looks).toEqual([]);
});

test("a hundred who wait for the same look for it together", async () => {
  find = async () => (looks.length >= 5 ? REPOSITORY : undefined);
  const sync = firstSync({});
  const needs = { refs: true, uuid: UUID };
  const waits = Array.from({ length: 100 }, () => sync.wait(SITE, needs, undefined, NEVER));
  expect(await Promise.all(waits)).toEqual(Array(100).fill(REPOSITORY));
  expect(looks).toHaveLength(5);
  // One that leaves ends no other's wait.
  looks.length = 0;
  const leaving = new AbortController();
  const [left, stays] = [leaving.signal, NEVER].map((signal) => sync.wait(SITE, needs, undefined, signal));
  leaving.abort();
  expect((await textOf(await left)).status).toBe(503);
  expect(await stays).toBe(REPOSITORY);
});

test("a repository that is deselected meanwhile is waited for no longer", async () => {
  find = async () => {
    await releaseReservedName(store, UUID, { workspace: "acme", slug: "site" });
    return undefined;
  };
  expect(await wait()).toBeUndefined();
  expect(looks).toHaveLength(1);
});

test("a queue that is away does not hinder the wait: another request's job may bring it", async () => {
  find = async () => REPOSITORY;
  const request = () => Promise.reject(new Error("no queue"));
  expect(await wait({ request })).toBe(REPOSITORY);
  expect(errors).toEqual([expect.objectContaining({ event: "first-sync:not-requested", uuid: UUID })]);
});

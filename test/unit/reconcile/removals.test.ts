/** Repositories that vanish from Bitbucket's list: few are believed to be gone, many are held back. */
import { beforeEach, expect, test } from "vitest";
import { SILENT_LOGGER } from "../../../lib/log.ts";
import { noteFinding } from "../../../lib/mirror/job-findings.ts";
import { type MirroredWorkspaceInput, mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import { acceptRemovals, readWorkspaceIndex, takeBackFound } from "../../../lib/mirror/workspace-index.ts";
import { type ReconcileMode, reconcileWorkspace } from "../../../lib/reconcile/reconcile-workspace.ts";
import { needsNewList } from "../../../lib/reconcile/removals.ts";
import { ListedWorkspace } from "../../support/listed-workspace.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { keysOf } from "../../support/sync-rig.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

let primary: ListedWorkspace;
let store: MemoryBlobStore;
let settings: Omit<MirroredWorkspaceInput, "workspace">;
/** While jobs are put into the queue. */
let duringRequest: () => Promise<void>;
let errors: string[];

beforeEach(() => {
  primary = new ListedWorkspace();
  store = new MemoryBlobStore();
  settings = { projects: "all" };
  duringRequest = async () => undefined;
  errors = [];
  for (let index = 0; index < 40; index++) primary.add(`r${index}`);
});

/** @returns Why each job was made. */
async function reconcile(mode: ReconcileMode = "quick"): Promise<string[]> {
  const made: string[] = [];
  const [workspace] = mirrorConfigOf([{ workspace: "acme", ...settings }]).workspaces;
  if (workspace === undefined) throw new Error("no workspace");
  await reconcileWorkspace(workspace, {
    store,
    requests: {
      request: async (requested) => {
        await duringRequest();
        made.push(...requested.map(({ job }) => job.reason));
      },
    },
    apiOf: primary.apiOf,
    log: { ...SILENT_LOGGER, error: (event) => errors.push(event) },
    mode,
    now: primary.now,
  });
  return made;
}

const index = async () => (await readWorkspaceIndex(store, "acme")).value;
const heldCount = async () => (await index())?.removalsHeld?.count;
const goneOf = (reasons: readonly string[]) => reasons.filter((reason) => reason === "gone");

test.each([
  ["all of them", 40],
  ["six of forty", 6],
])("%s: held back, looked for again soon, and forgotten when they are back", async (_name, count) => {
  await reconcile();
  const all = [...primary.repositories];
  primary.repositories.splice(0, count);
  primary.nowMs += 6 * HOUR_MS;
  expect(new Set(await reconcile())).toEqual(new Set(["check"]));
  expect(await heldCount()).toBe(count);
  const before = primary.requests.length;
  for (let minute = 0; minute < 30; minute += 5) {
    primary.nowMs += 5 * MINUTE_MS;
    expect(await reconcile()).toEqual([]);
  }
  // Two complete lists; the others ask for what was updated.
  expect(primary.requests.slice(before)).toHaveLength(6);
  primary.repositories.splice(0, Number.POSITIVE_INFINITY, ...all);
  primary.nowMs += 15 * MINUTE_MS;
  await reconcile();
  expect(await heldCount()).toBeUndefined();
  expect(Object.values((await index())?.repositories ?? {})).toSatisfy((entries: { unlisted?: unknown }[]) =>
    entries.every(({ unlisted }) => unlisted === undefined),
  );
});

test.each([
  ["five of forty", 5],
  ["ten of two hundred", 10],
])("%s are few: believed at once", async (_name, count) => {
  for (let number = 40; number < 20 * count; number++) primary.add(`r${number}`);
  await reconcile();
  primary.repositories.splice(0, count);
  expect(await reconcile("list")).toHaveLength(count);
  expect(await heldCount()).toBeUndefined();
});

test("a few each time add up: no more within a day than at once", async () => {
  await reconcile();
  const gone: string[] = [];
  for (let round = 0; round < 8; round++) {
    primary.repositories.splice(0, 2);
    primary.nowMs += 15 * MINUTE_MS;
    gone.push(...goneOf(await reconcile("list")));
  }
  expect(gone.length).toBeGreaterThan(0);
  expect(gone.length).toBeLessThanOrEqual(5);
  expect(await heldCount()).toBeGreaterThan(0);
});

test("gone in all lists of a day: believed, a few jobs a run; not sooner, however many lists there are", async () => {
  await reconcile();
  primary.repositories.splice(0, 30);
  for (let hour = 0; hour <= 23; hour++) {
    primary.nowMs += HOUR_MS;
    expect(goneOf(await reconcile("list"))).toEqual([]);
  }
  primary.nowMs += 2 * HOUR_MS;
  expect(goneOf([...(await reconcile()), ...(await reconcile())])).toHaveLength(30);
  expect(await heldCount()).toBeUndefined();
});

test.each([
  [5_000, 15],
  [40_000, 120],
])("lists of %i repositories take at most half of the budget: each %i minutes", (count, minutes) => {
  const entry = { slug: "r", isPrivate: true, updatedOn: "", seenAt: "" };
  const repositories = new Map(Array.from({ length: count }, (_, number) => [String(number), entry]));
  const listedAt = primary.now().toISOString();
  const working = { listedAt, removalsHeld: { since: listedAt, count: 10 }, repositories };
  const findings = { unseen: new Map(), found: new Map(), deleted: new Map() };
  const isDue = (afterMinutes: number) =>
    needsNewList(working, findings, primary.nowMs + afterMinutes * MINUTE_MS);
  expect([isDue(minutes - 1), isDue(minutes)]).toEqual([false, true]);
});

test("the operator accepts: the next run lists, and believes what is still not there", async () => {
  await reconcile();
  const [back] = primary.repositories.splice(0, 20);
  await reconcile("list");
  expect((await acceptRemovals(store, "acme", primary.now())).held).toHaveLength(20);
  if (back !== undefined) primary.repositories.push(back);
  primary.nowMs += MINUTE_MS;
  expect(goneOf(await reconcile())).toHaveLength(19);
  expect((await acceptRemovals(store, "acme", primary.now())).held).toHaveLength(0);
});

test.each<Omit<MirroredWorkspaceInput, "workspace">>([
  { projects: "all", exclude: ["*"] },
  { projects: ["OTHER"] },
])("what is deselected is not held back: %j", async (selection) => {
  primary.add("other", "OTHER");
  await reconcile();
  settings = selection;
  expect(await reconcile("list")).not.toHaveLength(0);
  expect(await heldCount()).toBeUndefined();
  const { repositories = {} } = (await index()) ?? {};
  expect(Object.values(repositories).filter(({ held }) => held === "mirrored").length).toBeLessThanOrEqual(1);
});

test("what lists do not have is still checked by git, but not in each run that checks all", async () => {
  await reconcile();
  primary.repositories.splice(0, 30);
  primary.nowMs += MINUTE_MS;
  expect(await reconcile("full")).toHaveLength(10);
  primary.nowMs += MINUTE_MS;
  expect(await reconcile("full")).toHaveLength(10);
  primary.nowMs += 15 * MINUTE_MS;
  expect(await reconcile("full")).toHaveLength(40);
});

test("a job that did not see one makes the next run list; one that found one puts it back", async () => {
  await reconcile();
  const [first, second] = primary.repositories.splice(0, 2).map(({ uuid }) => uuid);
  primary.nowMs += 20 * MINUTE_MS;
  await noteFinding(store, "acme", first ?? "", "unseen");
  expect(goneOf(await reconcile())).toHaveLength(2);
  await noteFinding(store, "acme", second ?? "", "found");
  await reconcile();
  const { repositories = {} } = (await index()) ?? {};
  expect(repositories[first ?? ""]).toMatchObject({ held: "retired", isGone: true });
  expect(repositories[second ?? ""]).toMatchObject({ held: "mirrored" });
  expect(repositories[second ?? ""]).not.toHaveProperty("isGone");
  expect(await keysOf(store, "findings/")).toEqual([]);
});

test("a job that is faster than the run that made it puts its repository back, too, at the next run", async () => {
  await reconcile();
  const [lost] = primary.repositories.splice(0, 1);
  duringRequest = () => noteFinding(store, "acme", lost?.uuid ?? "", "found");
  expect(goneOf(await reconcile("list"))).toHaveLength(1);
  duringRequest = async () => undefined;
  primary.nowMs += MINUTE_MS;
  await reconcile();
  expect((await index())?.repositories[lost?.uuid ?? ""]).toMatchObject({ held: "mirrored" });
  expect((await index())?.repositories[lost?.uuid ?? ""]).not.toHaveProperty("isGone");
});

test("one that a job has found is put back at once, and only once it was taken for gone", async () => {
  await reconcile();
  const [lost, there] = primary.repositories.splice(0, 2).map(({ uuid }) => uuid);
  await reconcile("list");
  expect((await index())?.repositories[lost ?? ""]).toMatchObject({ isGone: true });
  await takeBackFound(store, "acme", lost ?? "");
  const { repositories = {} } = (await index()) ?? {};
  expect(repositories[lost ?? ""]).toMatchObject({ held: "mirrored" });
  expect(repositories[lost ?? ""]).not.toHaveProperty("isGone");
  expect(repositories[there ?? ""]).toMatchObject({ isGone: true });
  for (const uuid of [lost ?? "", "01234567-0000-4000-8000-000000000000"])
    await takeBackFound(store, "acme", uuid);
  expect((await index())?.repositories).toEqual(repositories);
  await takeBackFound(store, "elsewhere", lost ?? "");
});

test("an entry without a readable uuid, for ever: what is missing is held for a day, not longer", async () => {
  await reconcile();
  primary.edit = (entries) => [{ slug: 5 }, ...entries];
  primary.repositories.splice(0, 1);
  for (let hour = 0; hour <= 23; hour++) {
    primary.nowMs += HOUR_MS;
    expect(goneOf(await reconcile("list"))).toEqual([]);
    expect(await heldCount()).toBe(1);
  }
  primary.nowMs += 2 * HOUR_MS;
  primary.repositories.splice(0, 1);
  expect(goneOf(await reconcile("list"))).toHaveLength(1);
  expect(await heldCount()).toBe(1);
  // The operator does not have to wait.
  expect((await acceptRemovals(store, "acme", primary.now())).held).toHaveLength(1);
  primary.nowMs += MINUTE_MS;
  expect(goneOf(await reconcile())).toHaveLength(1);
  expect(await heldCount()).toBeUndefined();
});

test("deletions that events announced are no missing right, also while they are held back and after that", async () => {
  await reconcile();
  const removed = primary.repositories.splice(0, 7).map(({ uuid }) => uuid);
  for (const uuid of removed) await noteFinding(store, "acme", uuid, "deleted");
  for (let round = 0; round < 3; round++) {
    primary.nowMs += HOUR_MS;
    await reconcile("list");
    const entries = (await index())?.repositories ?? {};
    for (const uuid of removed) expect(entries[uuid]).toMatchObject({ held: "mirrored", isDeleted: true });
  }
  expect(await heldCount()).toBe(7);
  const [back = ""] = removed;
  await noteFinding(store, "acme", back, "found");
  await reconcile();
  expect((await index())?.repositories[back]).not.toHaveProperty("isDeleted");
  expect(errors).toEqual([]);
  primary.nowMs += 24 * HOUR_MS;
  expect(goneOf(await reconcile("list"))).toHaveLength(7);
  // Only the one that a job found meanwhile.
  expect(errors).toEqual(["reconcile:no-access"]);
});

test("a deletion that is announced after the list that lacked it stays known", async () => {
  await reconcile();
  const [lost = ""] = primary.repositories.splice(0, 1).map(({ uuid }) => uuid);
  await reconcile("list");
  await noteFinding(store, "acme", lost, "deleted");
  primary.nowMs += HOUR_MS;
  await reconcile("list");
  await reconcile("list");
  expect((await index())?.repositories[lost]).toMatchObject({ isGone: true, isDeleted: true });
});

test("the operator accepts some by their names: those are deleted, the others stay held back or without a right", async () => {
  await reconcile();
  primary.repositories.splice(0, 3);
  await reconcile("list");
  primary.repositories.splice(0, 6);
  primary.nowMs += HOUR_MS;
  await reconcile("list");
  expect(await heldCount()).toBe(6);
  errors = [];
  await expect(acceptRemovals(store, "acme", primary.now(), ["r0", "r99"])).rejects.toThrow("acme/r99");
  const accept = (slugs: string[]) => acceptRemovals(store, "acme", primary.now(), slugs);
  expect(await accept(["R0", "r3", "r20"])).toEqual({ held: ["r20", "r3"], withdrawn: ["r0"] });
  const before = primary.requests.length;
  primary.nowMs += MINUTE_MS;
  expect(goneOf(await reconcile())).toHaveLength(1);
  expect(primary.requests.length - before).toBe(1);
  const entries = Object.values((await index())?.repositories ?? {});
  const slugsWith = (name: "isGone" | "isDeleted" | "removalAcceptedAt") =>
    entries.filter((entry) => entry[name] !== undefined).map(({ slug }) => slug);
  expect(slugsWith("isGone").sort()).toEqual(["r0", "r1", "r2", "r3"]);
  expect(slugsWith("isDeleted").sort()).toEqual(["r0", "r3"]);
  // Bitbucket still lists r20.
  expect(slugsWith("removalAcceptedAt")).toEqual(["r3"]);
  expect(await heldCount()).toBe(5);
  expect(errors).toEqual([]);
  primary.nowMs += MINUTE_MS;
  await reconcile();
  expect(primary.requests.length - before).toBe(2);
});

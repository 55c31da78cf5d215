/** Clients that fetch packs by themselves end with the same repository as those that are sent all of it. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { OFS_ALL } from "../support/git/mirror-builder.ts";
import { git } from "../support/git/run-git.ts";
import { expectSilentFsck, heldObjects, objectsOf, refsOf } from "../support/primary.ts";
import { ONE_PACK, REPEATING_PACKS, SEVERAL_PACKS, servedMirror } from "../support/served-mirror.ts";

/** Between the packs of the sample's first commits, and those of its last ones. */
const MIN_DOWNLOAD_BYTES = 10_000;
const TAKES_PACKS = ["-c", "fetch.uriProtocols=https,http"];

const mirror = await servedMirror({
  packs: { "one-pack": ONE_PACK, "several-packs": SEVERAL_PACKS, "repeating-packs": REPEATING_PACKS },
  minDownloadBytes: MIN_DOWNLOAD_BYTES,
});

beforeAll(async () => {
  const rewound = await mirror.mirrorOf(mirror.sample);
  await rewound.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await rewound.publish("acme", "rewound", { mayHoldUnreachable: true });
});

beforeEach(() => {
  mirror.takeRequests();
});

const downloads = () => mirror.takeRequests().filter((line) => line.startsWith("GET /~blobs/repos/"));

describe.each([
  ["one-pack", 1],
  ["several-packs", 1],
  ["repeating-packs", 3],
])("a mirror with %s", (slug, packCount) => {
  test("sends a clone of everything to its large packs", async () => {
    const clone = mirror.newPath();
    await git([...TAKES_PACKS, "clone", "--quiet", "--mirror", mirror.urlOf(slug), clone]);
    expect(downloads()).toHaveLength(packCount);
    expect(await refsOf(clone)).toBe(await refsOf(mirror.sample));
    expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, "--all"));
    await expectSilentFsck(clone);
  });

  test("sends an ordinary clone with a work tree there too, checked by the client", async () => {
    const clone = mirror.newPath();
    const options = [...TAKES_PACKS, "-c", "transfer.fsckObjects=true"];
    await git([...options, "clone", "--quiet", mirror.urlOf(slug), clone]);
    expect(downloads().length).toBeGreaterThan(0);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(await mirror.idOf("main"));
    await expectSilentFsck(clone);
  });

  test("sends all to a client that does not ask for addresses, or for others only", async () => {
    for (const options of [[], ["-c", "fetch.uriProtocols=https"]]) {
      const clone = mirror.newPath();
      await git([...options, "clone", "--quiet", "--mirror", mirror.urlOf(slug), clone]);
      expect(downloads()).toEqual([]);
      expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, "--all"));
    }
  });
});

test("a fetch is sent to the packs of which it lacks nearly all, and gets the rest", async () => {
  const clone = await mirror.newClient();
  // Another root: nothing of it is in the first pack.
  await git(["fetch", "--quiet", mirror.urlOf("several-packs"), "pages:pages"], { cwd: clone });
  mirror.takeRequests();
  await git([...TAKES_PACKS, "fetch", "--quiet", mirror.urlOf("several-packs"), "+refs/*:refs/*"], {
    cwd: clone,
  });
  expect(downloads()).toHaveLength(1);
  expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, "--all"));
  await expectSilentFsck(clone);
});

test("a fetch of what is new is not sent to the pack that it has", async () => {
  const clone = await mirror.newClient();
  await git(["push", "--quiet", clone, "main~15:refs/heads/main"], { cwd: mirror.sample });
  mirror.takeRequests();
  await git([...TAKES_PACKS, "fetch", "--quiet", mirror.urlOf("several-packs"), "+refs/*:refs/*"], {
    cwd: clone,
  });
  expect(downloads()).toEqual([]);
  expect(await heldObjects(clone)).toEqual(await objectsOf(mirror.sample, "--all"));
});

test.each([
  ["shallow", ["--depth=2"]],
  ["partial", ["--filter=blob:none"]],
])("a %s clone is sent no packs", async (_, options) => {
  const clone = mirror.newPath();
  await git([...TAKES_PACKS, "clone", "--quiet", "--bare", ...options, mirror.urlOf("one-pack"), clone]);
  expect(downloads()).toEqual([]);
  await expectSilentFsck(clone);
});

test("no pack is handed out that may hold what no ref reaches", async () => {
  const clone = mirror.newPath();
  await git([...TAKES_PACKS, "clone", "--quiet", "--mirror", mirror.urlOf("rewound"), clone]);
  expect(downloads()).toEqual([]);
  expect(await refsOf(clone)).toBe(await refsOf(mirror.sample));
});

test("a client without deltas by offset is sent no packs", async () => {
  const clone = mirror.newPath();
  const options = [...TAKES_PACKS, "-c", "repack.useDeltaBaseOffset=false"];
  await git([...options, "clone", "--quiet", "--mirror", mirror.urlOf("one-pack"), clone]);
  expect(downloads()).toEqual([]);
});

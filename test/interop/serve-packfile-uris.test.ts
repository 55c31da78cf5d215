/** Clients that fetch packs by themselves end with the same repository as those that are sent all of it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  expectSound,
  heldObjects,
  type MirrorServer,
  OFS_ALL,
  objectsOf,
  refsOf,
  startMirrorServer,
} from "../support/git/mirror-server.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";

/** Between the packs of the sample's first commits, and those of its last ones. */
const MIN_DOWNLOAD_BYTES = 10_000;
const TAKES_PACKS = ["-c", "fetch.uriProtocols=https,http"];

let server: MirrorServer;
let sample: string;

beforeAll(async () => {
  server = await startMirrorServer({ minDownloadBytes: MIN_DOWNLOAD_BYTES });
  sample = server.newPath();
  await makeSampleRepository(sample);
  await git(["gc", "--quiet"], { cwd: sample });
  const one = await server.mirrorOf(sample);
  await one.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await one.publish("acme", "one-pack");
  const several = await server.mirrorOf(sample);
  await several.addPack({ revisions: ["main~15"] });
  await several.addPack({
    revisions: ["main~5", "^main~15"],
    packObjectsOptions: ["--thin", "--delta-base-offset"],
  });
  await several.addPack({ revisions: ["^main~5"], packObjectsOptions: ["--thin", ...OFS_ALL] });
  await several.publish("acme", "several-packs");
  const repeating = await server.mirrorOf(sample);
  await repeating.addPack({ revisions: ["main~8"] });
  await repeating.addPack({ revisions: ["main", "^main~12"], packObjectsOptions: ["--thin"] });
  await repeating.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await repeating.publish("acme", "repeating-packs");
  const rewound = await server.mirrorOf(sample);
  await rewound.addPack({ revisions: [], packObjectsOptions: OFS_ALL });
  await rewound.publish("acme", "rewound", { mayHoldUnreachable: true });
});

beforeEach(() => {
  server.takeRequests();
});

afterEach(() => {
  expect(server.takeFailures()).toEqual([]);
});

afterAll(async () => {
  await server.close();
});

const downloads = () => server.takeRequests().filter((line) => line.startsWith("GET /~blobs/repos/"));

describe.each([
  ["one-pack", 1],
  ["several-packs", 1],
  ["repeating-packs", 3],
])("a mirror with %s", (slug, packCount) => {
  test("sends a clone of everything to its large packs", async () => {
    const clone = server.newPath();
    await git([...TAKES_PACKS, "clone", "--quiet", "--mirror", server.urlOf(slug), clone]);
    expect(downloads()).toHaveLength(packCount);
    expect(await refsOf(clone)).toBe(await refsOf(sample));
    expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "--all"));
    await expectSound(clone);
  });

  test("sends an ordinary clone with a work tree there too, checked by the client", async () => {
    const clone = server.newPath();
    const options = [...TAKES_PACKS, "-c", "transfer.fsckObjects=true"];
    await git([...options, "clone", "--quiet", server.urlOf(slug), clone]);
    expect(downloads().length).toBeGreaterThan(0);
    expect(await git(["rev-parse", "HEAD"], { cwd: clone })).toBe(
      await git(["rev-parse", "main"], { cwd: sample }),
    );
    await expectSound(clone);
  });

  test("sends all to a client that does not ask for addresses, or for others only", async () => {
    for (const options of [[], ["-c", "fetch.uriProtocols=https"]]) {
      const clone = server.newPath();
      await git([...options, "clone", "--quiet", "--mirror", server.urlOf(slug), clone]);
      expect(downloads()).toEqual([]);
      expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "--all"));
    }
  });
});

test("a fetch is sent to the packs of which it lacks nearly all, and gets the rest", async () => {
  const clone = server.newPath();
  await git(["init", "--quiet", "--bare", clone]);
  // Another root: nothing of it is in the first pack.
  await git(["fetch", "--quiet", server.urlOf("several-packs"), "pages:pages"], { cwd: clone });
  server.takeRequests();
  await git([...TAKES_PACKS, "fetch", "--quiet", server.urlOf("several-packs"), "+refs/*:refs/*"], {
    cwd: clone,
  });
  expect(downloads()).toHaveLength(1);
  expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "--all"));
  await expectSound(clone);
});

test("a fetch of what is new is not sent to the pack that it has", async () => {
  const clone = server.newPath();
  await git(["init", "--quiet", "--bare", clone]);
  await git(["push", "--quiet", clone, "main~15:refs/heads/main"], { cwd: sample });
  server.takeRequests();
  await git([...TAKES_PACKS, "fetch", "--quiet", server.urlOf("several-packs"), "+refs/*:refs/*"], {
    cwd: clone,
  });
  expect(downloads()).toEqual([]);
  expect(await heldObjects(clone)).toEqual(await objectsOf(sample, "--all"));
});

test.each([
  ["shallow", ["--depth=2"]],
  ["partial", ["--filter=blob:none"]],
])("a %s clone is sent no packs", async (_, options) => {
  const clone = server.newPath();
  await git([...TAKES_PACKS, "clone", "--quiet", "--bare", ...options, server.urlOf("one-pack"), clone]);
  expect(downloads()).toEqual([]);
  await expectSound(clone);
});

test("no pack is handed out that may hold what no ref reaches", async () => {
  const clone = server.newPath();
  await git([...TAKES_PACKS, "clone", "--quiet", "--mirror", server.urlOf("rewound"), clone]);
  expect(downloads()).toEqual([]);
  expect(await refsOf(clone)).toBe(await refsOf(sample));
});

test("a client without deltas by offset is sent no packs", async () => {
  const clone = server.newPath();
  const options = [...TAKES_PACKS, "-c", "repack.useDeltaBaseOffset=false"];
  await git([...options, "clone", "--quiet", "--mirror", server.urlOf("one-pack"), clone]);
  expect(downloads()).toEqual([]);
});

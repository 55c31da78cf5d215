import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseObjectId } from "../../../lib/git/object-id.ts";
import type { IndexProgress } from "../../../lib/indexer/index-pack.ts";
import { gitIndexOf } from "../../support/git/git-index.ts";
import { gitBytes } from "../../support/git/run-git.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { indexBytes } from "../../support/indexed-bytes.ts";
import {
  appendingDelta,
  commitText,
  noiseBytes,
  objectIdOf,
  PackBuilder,
  treeBytes,
} from "../../support/pack-builder.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Many stretches out of a small pack. */
const stretchBytes = 20_000;

let folder: TemporaryFolder;
let repository: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  repository = join(folder.path, "sample.git");
  await makeSampleRepository(repository, { commitCount: 400 });
});

afterAll(() => folder.remove());

const packs = new Map<string, Promise<Uint8Array>>();

/** Every object of the sample; made once for each set of options. */
function packAll(...options: string[]): Promise<Uint8Array> {
  const args = ["pack-objects", "--revs", "--all", "--stdout", "--quiet", ...options];
  const key = args.join(" ");
  const pack = packs.get(key) ?? gitBytes(args, { cwd: repository, input: "" });
  packs.set(key, pack);
  return pack;
}

describe.each([0, 1, 2, 3])("over %d threads", (threadCount) => {
  test.each([
    ["deltas by offset", ["--delta-base-offset", "--no-reuse-delta"]],
    ["deltas by id", ["--no-reuse-delta"]],
    ["long chains", ["--delta-base-offset", "--no-reuse-delta", "--depth=300", "--window=40"]],
    ["long chains by id", ["--no-reuse-delta", "--depth=300", "--window=40"]],
    ["no deltas", ["--no-reuse-delta", "--window=0"]],
    ["nothing compressed", ["--delta-base-offset", "--no-reuse-object", "--compression=0"]],
  ])("the index of a pack with %s is git's, byte for byte", async (_, options) => {
    const pack = await packAll(...options);
    const indexed = await indexBytes(pack, { threadCount, stretchBytes });
    expect(Buffer.compare(indexed.index, await gitIndexOf(pack))).toBe(0);
    expect(Buffer.compare(indexed.pack, pack)).toBe(0);
    expect(indexed).toMatchObject({
      objectCount: indexed.objectIds.length,
      sentObjectCount: indexed.objectIds.length,
      sentEndBytes: pack.length - 20,
      packBytes: pack.length,
      repeatedObjectCount: 0,
    });
    expect(indexed.header).toEqual(new Uint8Array(pack.subarray(0, 12)));
    expect(indexed.openLinks.flags).toHaveLength(0);
  });

  test("a pack that is still growing gives the same index", async () => {
    const pack = await packAll("--delta-base-offset");
    const expected = await gitIndexOf(pack);
    for (const steps of [[1, 40_000, 7, 3000], [11_111]]) {
      const { index, openLinks } = await indexBytes(pack, { threadCount, stretchBytes }, steps);
      expect(Buffer.compare(index, expected)).toBe(0);
      expect(openLinks.flags).toHaveLength(0);
    }
  });

  test("blobs over whole stretches, and deltas across them", async () => {
    const builder = new PackBuilder();
    const first = noiseBytes(300_000, 1);
    const firstOffset = builder.whole("blob", first);
    for (let i = 0; i < 20; i++) builder.whole("blob", noiseBytes(15_000, 10 + i));
    const secondOffset = builder.ofsDelta(firstOffset, appendingDelta(first.length, noiseBytes(50_000, 2)));
    builder.whole("blob", noiseBytes(90_000, 3), {
      stream: deflateSync(noiseBytes(90_000, 3), { level: 0 }),
    });
    builder.ofsDelta(secondOffset, appendingDelta(first.length + 50_000, "end"));
    const pack = builder.bytes();
    const { index } = await indexBytes(pack, { threadCount, stretchBytes });
    expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
  });

  test("a pack inside a blob is not taken for entries, and what it refers to is not asked for", async () => {
    const inner = new PackBuilder();
    for (let i = 0; i < 300; i++) {
      inner.whole("commit", commitText(objectIdOf("tree", `no tree ${i}`)));
      inner.whole("blob", noiseBytes(400, i));
    }
    const builder = new PackBuilder();
    const innerPack = inner.bytes();
    builder.whole("blob", noiseBytes(5000));
    builder.whole("blob", innerPack, { stream: deflateSync(innerPack, { level: 0 }) });
    builder.whole("tree", treeBytes([{ mode: "100644", name: "p", id: objectIdOf("blob", innerPack) }]));
    const pack = builder.bytes();
    const { index, openLinks } = await indexBytes(pack, { threadCount, stretchBytes });
    expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
    expect(openLinks.flags).toHaveLength(0);
  });
});

test("a pack of three stretches of the usual size", async () => {
  const builder = new PackBuilder();
  const base = noiseBytes(9_000_000, 1);
  const baseOffset = builder.whole("blob", base);
  for (let i = 0; i < 8; i++) builder.whole("blob", noiseBytes(3_500_000, 2 + i));
  builder.ofsDelta(baseOffset, appendingDelta(base.length, "far from its base"));
  builder.refDelta(objectIdOf("blob", base), appendingDelta(base.length, "by id"));
  const pack = builder.bytes();
  expect(pack.length).toBeGreaterThan(2 * 2 ** 24);
  const { index } = await indexBytes(pack, { threadCount: 2 });
  expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
});

test("deltas by id resolve in any order: chains, families, before their bases", async () => {
  const plans = fc.array(fc.tuple(fc.nat(1000), fc.boolean(), fc.nat(1000)), {
    minLength: 1,
    maxLength: 25,
  });
  await fc.assert(
    fc.asyncProperty(plans, fc.constantFrom(0, 0, 0, 0, 2), async (plan, threadCount) => {
      const contents = ["the base\n"];
      for (const [parent] of plan) contents.push(`${contents[parent % contents.length]}${contents.length}\n`);
      const order = contents.map((_, i) => ({ i, key: plan[i - 1]?.[2] ?? 500 }));
      order.sort((a, b) => a.key - b.key || a.i - b.i);
      const builder = new PackBuilder();
      const places = new Map<number, number>();
      for (const { i } of order) {
        const content = contents[i] ?? "";
        const [parent = 0, byOffset = false] = plan[i - 1] ?? [];
        const base = parent % i;
        const baseContent = contents[base] ?? "";
        const delta = appendingDelta(baseContent.length, content.slice(baseContent.length));
        const basePlace = places.get(base);
        if (i === 0) places.set(i, builder.whole("blob", content));
        else if (byOffset && basePlace !== undefined) places.set(i, builder.ofsDelta(basePlace, delta));
        else places.set(i, builder.refDelta(objectIdOf("blob", baseContent), delta));
      }
      const { objectIds } = await indexBytes(builder.bytes(), { threadCount });
      expect(objectIds).toEqual(contents.map((content) => objectIdOf("blob", content)).toSorted());
    }),
    { numRuns: 50 },
  );
});

test("a chain of 1,500 deltas by id, each before its base, takes one look at each entry a round", async () => {
  const contents = [..."x".repeat(1500)].map((_, i) => "y".repeat(i + 1));
  const builder = new PackBuilder();
  contents.forEach((content, i) => {
    if (i === 0) return;
    builder.refDelta(objectIdOf("blob", contents[i - 1] ?? ""), appendingDelta(content.length - 1, "y"));
  });
  builder.whole("blob", "y");
  const pack = builder.bytes();
  const { index } = await indexBytes(pack);
  expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
});

test("an object that comes twice is counted as repeated", async () => {
  const builder = new PackBuilder();
  const offset = builder.whole("blob", "one");
  builder.whole("blob", "one");
  builder.ofsDelta(offset, appendingDelta(3, " more"));
  builder.refDelta(objectIdOf("blob", "one"), appendingDelta(3, " more"));
  const { repeatedObjectCount, objectIds } = await indexBytes(builder.bytes());
  expect(repeatedObjectCount).toBe(2);
  expect(new Set(objectIds)).toEqual(new Set([objectIdOf("blob", "one"), objectIdOf("blob", "one more")]));
});

test("an empty pack has git's index", async () => {
  const pack = new PackBuilder().bytes();
  const { index, objectCount } = await indexBytes(pack);
  expect(objectCount).toBe(0);
  expect(Buffer.compare(index, await gitIndexOf(pack))).toBe(0);
});

test("links to what is not in the pack are reported, with the types they ask for", async () => {
  const builder = new PackBuilder();
  const blobId = objectIdOf("blob", "here");
  const absentId = objectIdOf("blob", "absent");
  const entries = [
    { mode: "100644", name: "a", id: blobId },
    { mode: "100644", name: "b", id: absentId },
    { mode: "160000", name: "c", id: objectIdOf("commit", "of another repository") },
    { mode: "40000", name: "d", id: blobId },
  ];
  builder.whole("blob", "here");
  builder.whole("tree", treeBytes(entries));
  builder.whole("commit", commitText(objectIdOf("tree", treeBytes(entries)), [absentId]));
  const { openLinks } = await indexBytes(builder.bytes());
  const open = new Map(
    Array.from(openLinks.flags, (flags, i) => [
      parseObjectId(Buffer.from(openLinks.ids.subarray(i * 20, i * 20 + 20)).toString("hex")),
      flags,
    ]),
  );
  // A blob that a tree calls a folder is as bad as one that is missing.
  expect(open).toEqual(
    new Map([
      [absentId, (1 << 3) | (1 << 1)],
      [blobId, (1 << 3) | (1 << 2)],
    ]),
  );
});

test("progress counts up to the pack's objects", async () => {
  const seen: IndexProgress[] = [];
  const pack = await packAll("--delta-base-offset");
  const onProgress = (progress: IndexProgress) => void seen.push(progress);
  const { objectCount } = await indexBytes(pack, { threadCount: 2, stretchBytes, onProgress });
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.every(({ totalObjects }) => totalObjects === objectCount)).toBe(true);
  expect(Math.max(...seen.map(({ objects }) => objects))).toBe(objectCount);
});

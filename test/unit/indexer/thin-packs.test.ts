import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CorruptPackError } from "../../../lib/errors.ts";
import type { ObjectId } from "../../../lib/git/object-id.ts";
import { decodePackHeader, OBJECT_TYPE, type ObjectType } from "../../../lib/git/pack/pack-format.ts";
import type { ReadBase } from "../../../lib/indexer/append-bases.ts";
import { git, gitBytes, tryGit } from "../../support/git/run-git.ts";
import { makeSampleRepository } from "../../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../../support/git/temporary-folder.ts";
import { type IndexedBytes, indexBytes } from "../../support/indexed-bytes.ts";
import {
  appendingDelta,
  commitText,
  objectIdOf,
  PackBuilder,
  treeBytes,
} from "../../support/pack-builder.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: TemporaryFolder;
let source: string;
let pathCount = 0;

beforeAll(async () => {
  folder = await temporaryFolder();
  source = join(folder.path, "source.git");
  await makeSampleRepository(source, { commitCount: 120 });
  await git(["branch", "old", "main~12"], { cwd: source });
});

afterAll(() => folder.remove());

/** A repository with all that branch `old` reaches. */
async function oldRepository(): Promise<string> {
  const path = join(folder.path, `held-${pathCount++}.git`);
  await git(["init", "--quiet", "--bare", path]);
  await git(["fetch", "--quiet", source, "refs/heads/old:refs/heads/old"], { cwd: path });
  return path;
}

const readBaseIn =
  (repository: string): ReadBase =>
  async (id) => {
    const { exitCode, stdout } = await tryGit(["cat-file", "-t", id], { cwd: repository });
    if (exitCode !== 0) return undefined;
    const type = Buffer.from(stdout).toString().trim() as ObjectType;
    return { type, bytes: await gitBytes(["cat-file", type, id], { cwd: repository }) };
  };

async function packIdsOf(repository: string): Promise<string[]> {
  const args = ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"];
  return (await git(args, { cwd: repository })).split("\n").toSorted();
}

/** Puts our completed pack and index into the repository, as it is in the store. */
async function install(repository: string, { pack, index }: IndexedBytes): Promise<string> {
  const name = join(repository, "objects/pack", `pack-${"ab".repeat(20)}`);
  await mkdir(join(repository, "objects/pack"), { recursive: true });
  await writeFile(`${name}.pack`, pack);
  await writeFile(`${name}.idx`, index);
  return `${name}.idx`;
}

describe.each([
  ["by offset where possible", ["--delta-base-offset"]],
  ["by id", []],
])("a thin pack of git's, deltas %s", (_, options) => {
  test.each([0, 2])("is completed as by git index-pack --fix-thin, over %d threads", async (threadCount) => {
    const held = await oldRepository();
    const args = ["pack-objects", "--revs", "--thin", "--stdout", "--quiet", ...options];
    const sent = await gitBytes(args, { cwd: source, input: "main\n^old\n" });
    const readBase = readBaseIn(held);
    const indexed = await indexBytes(sent, { threadCount, stretchBytes: 2000, readBase });
    expect(indexed.sentObjectCount).toBe(decodePackHeader(sent).objectCount);
    expect(indexed.objectCount).toBeGreaterThan(indexed.sentObjectCount);
    expect(indexed.sentEndBytes).toBe(sent.length - 20);
    expect(indexed.packBytes).toBe(indexed.pack.length);
    expect(decodePackHeader(indexed.header)).toEqual({ objectCount: indexed.objectCount });
    expect(Buffer.compare(indexed.pack.subarray(0, 12), indexed.header)).toBe(0);
    expect(Buffer.compare(indexed.pack.subarray(12, sent.length - 20), sent.subarray(12, -20))).toBe(0);

    const twin = await oldRepository();
    await git(["index-pack", "--stdin", "--fix-thin"], { cwd: twin, input: sent });
    const installed = await install(held, indexed);
    expect(await packIdsOf(held)).toEqual(await packIdsOf(twin));
    await git(["verify-pack", installed], { cwd: held });
    await git(["update-ref", "refs/heads/main", await git(["rev-parse", "main"], { cwd: source })], {
      cwd: held,
    });
    expect(await git(["fsck", "--full", "--strict", "--no-dangling"], { cwd: held })).toBe("");
  });

  test("is an error where a base is missing, and without a repository", async () => {
    const args = ["pack-objects", "--revs", "--thin", "--stdout", "--quiet", ...options];
    const sent = await gitBytes(args, { cwd: source, input: "main\n^old\n" });
    await expect(indexBytes(sent)).rejects.toThrow(/base is nowhere/);
    const empty = join(folder.path, `empty-${pathCount++}.git`);
    await git(["init", "--quiet", "--bare", empty]);
    await expect(indexBytes(sent, { readBase: readBaseIn(empty) })).rejects.toThrow(CorruptPackError);
  });
});

/** A repository that holds these objects only, and remembers what was asked for. */
function holding(objects: readonly (readonly [ObjectType, Uint8Array | string])[]) {
  const asked: ObjectId[] = [];
  const held = new Map(objects.map(([type, content]) => [objectIdOf(type, content), { type, content }]));
  const readBase: ReadBase = async (id) => {
    asked.push(id);
    const object = held.get(id);
    return object && { type: object.type, bytes: Buffer.from(object.content) };
  };
  return { readBase, asked };
}

test("a delta by id of a delta by id, whose base only the repository holds", async () => {
  const { readBase, asked } = holding([["blob", "held"]]);
  const builder = new PackBuilder();
  builder.refDelta(objectIdOf("blob", "held12"), appendingDelta(6, "3"));
  builder.refDelta(objectIdOf("blob", "held1"), appendingDelta(5, "2"));
  builder.refDelta(objectIdOf("blob", "held"), appendingDelta(4, "1"));
  const { objectIds, sentObjectCount } = await indexBytes(builder.bytes(), { readBase });
  expect(objectIds).toEqual(
    ["held", "held1", "held12", "held123"].map((content) => objectIdOf("blob", content)).toSorted(),
  );
  expect(sentObjectCount).toBe(3);
  expect(new Set(asked).size).toBe(asked.length);
});

test("a base that is held but does not help leaves the error", async () => {
  const { readBase } = holding([["blob", "held"]]);
  const builder = new PackBuilder();
  builder.refDelta(objectIdOf("blob", "held"), appendingDelta(4, "1"));
  builder.refDelta(objectIdOf("blob", "nowhere"), appendingDelta(7, "1"));
  const attempt = indexBytes(builder.bytes(), { readBase });
  await expect(attempt).rejects.toMatchObject({ context: { baseId: objectIdOf("blob", "nowhere") } });
});

test("a base that the pack holds too is not asked for", async () => {
  const { readBase, asked } = holding([["blob", "both"]]);
  const builder = new PackBuilder();
  builder.refDelta(objectIdOf("blob", "both"), appendingDelta(4, "1"));
  builder.whole("blob", "both");
  const { objectCount } = await indexBytes(builder.bytes(), { readBase });
  expect(objectCount).toBe(2);
  expect(asked).toEqual([]);
});

test("a base that the repository holds broken is not taken into the pack", async () => {
  const builder = new PackBuilder();
  builder.refDelta(objectIdOf("blob", "held"), appendingDelta(4, "1"));
  const readBase: ReadBase = async () => ({ type: "blob", bytes: Buffer.from("hold") });
  await expect(indexBytes(builder.bytes(), { readBase })).rejects.toThrow(/copy of a delta's base is broken/);
});

test("what appended and rebuilt trees refer to is reported", async () => {
  const oldTree = treeBytes([{ mode: "100644", name: "a", id: objectIdOf("blob", "old") }]);
  const newEntry = treeBytes([{ mode: "100644", name: "b", id: objectIdOf("blob", "new") }]);
  const { readBase } = holding([["tree", oldTree]]);
  const builder = new PackBuilder();
  builder.refDelta(objectIdOf("tree", oldTree), appendingDelta(oldTree.length, newEntry));
  const newTree = Buffer.concat([oldTree, newEntry]);
  builder.whole("commit", commitText(objectIdOf("tree", newTree)));
  const { openLinks } = await indexBytes(builder.bytes(), { readBase });
  const open = Array.from(openLinks.flags, (flags, i) => [
    Buffer.from(openLinks.ids.subarray(i * 20, i * 20 + 20)).toString("hex"),
    flags,
  ]);
  const asBlob = 1 << OBJECT_TYPE.blob;
  expect(new Map(open as [string, number][])).toEqual(
    new Map([
      [objectIdOf("blob", "old"), asBlob],
      [objectIdOf("blob", "new"), asBlob],
    ]),
  );
});

import { describe, expect, test } from "vitest";
import { type ObjectId, objectIdAt } from "../../../lib/git/object-id.ts";
import { assertConnected, countKnownObjects } from "../../../lib/sync/connectivity.ts";
import { indexBytes } from "../../support/indexed-bytes.ts";
import { MemoryObjects } from "../../support/memory-objects.ts";
import { commitText, objectIdOf, PackBuilder, treeBytes } from "../../support/pack-builder.ts";

const BLOB_ID = objectIdOf("blob", "file");
const TREE = treeBytes([
  { mode: "100644", name: "a", id: BLOB_ID },
  { mode: "160000", name: "submodule", id: objectIdOf("commit", "elsewhere") },
]);
const TREE_ID = objectIdOf("tree", TREE);
const COMMIT = commitText(TREE_ID);
const COMMIT_ID = objectIdOf("commit", COMMIT);

type Part = "blob" | "tree" | "commit";

function indexedPackOf(...parts: Part[]): ReturnType<typeof indexBytes> {
  const builder = new PackBuilder();
  const contents = { blob: "file", tree: TREE, commit: COMMIT };
  for (const part of parts) builder.whole(part, contents[part]);
  return indexBytes(builder.bytes());
}

describe("a new pack", () => {
  test("with all that its objects refer to is connected; submodules are elsewhere", async () => {
    const indexed = await indexedPackOf("commit", "tree", "blob");
    expect(() => assertConnected(indexed, [COMMIT_ID], undefined)).not.toThrow();
  });

  test.each<[string, Part[], ObjectId]>([
    ["tree", ["commit", "blob"], TREE_ID],
    ["blob", ["commit", "tree"], BLOB_ID],
  ])("without a %s is not", async (_, parts, id) => {
    const indexed = await indexedPackOf(...parts);
    const attempt = () => assertConnected(indexed, [COMMIT_ID], undefined);
    expect(attempt).toThrow(/refers to an object that is nowhere/);
    expect(attempt).toThrow(expect.objectContaining({ context: { id, linkCount: 1 } }));
  });

  test("may build on what the repository holds", async () => {
    const held = new MemoryObjects();
    expect(held.addBlob("file")).toBe(BLOB_ID);
    const indexed = await indexedPackOf("commit", "tree");
    expect(() => assertConnected(indexed, [COMMIT_ID], held)).not.toThrow();
    expect(() => assertConnected(indexed, [COMMIT_ID], new MemoryObjects())).toThrow(/nowhere/);
  });

  test.each([0, 1, 2, 3, 4])(
    "of whose five links out of it the one at place %d leads nowhere is not",
    async (place) => {
      const contents = ["one", "two", "three", "four", "five"];
      const ids = contents.map((content) => objectIdOf("blob", content));
      const builder = new PackBuilder();
      builder.whole("tree", treeBytes(ids.map((id, i) => ({ mode: "100644", name: `${i}`, id }))));
      const indexed = await indexBytes(builder.bytes());
      const links = Array.from(indexed.openLinks.flags, (_, i) => objectIdAt(indexed.openLinks.ids, i * 20));
      expect(links.toSorted()).toEqual(ids.toSorted());
      const missing = links[place];
      const held = new MemoryObjects();
      for (const content of contents) if (objectIdOf("blob", content) !== missing) held.addBlob(content);
      expect(() => assertConnected(indexed, [], held)).toThrow(
        expect.objectContaining({ context: { id: missing, linkCount: 5 } }),
      );
    },
  );

  test("that lacks a wanted object is not connected, even if the repository holds it", async () => {
    const held = new MemoryObjects();
    const wanted = held.addBlob("wanted");
    const indexed = await indexedPackOf("commit", "tree", "blob");
    expect(() => assertConnected(indexed, [COMMIT_ID, wanted], held)).toThrow(/lacks an object/);
  });

  test.each([
    ["a commit names a tree as its parent", "commit", commitText(TREE_ID, [TREE_ID])],
    ["a tree calls a blob a folder", "tree", treeBytes([{ mode: "40000", name: "a", id: BLOB_ID }])],
    ["a tag calls a tree a commit", "tag", `object ${TREE_ID}\ntype commit\ntag v1\n\n`],
  ] as const)("in which %s is not connected", async (_, type, content) => {
    const builder = new PackBuilder();
    builder.whole("blob", "file");
    builder.whole("tree", TREE);
    builder.whole(type, content);
    const indexed = await indexBytes(builder.bytes());
    expect(() => assertConnected(indexed, [], undefined)).toThrow(/or of another type/);
  });

  test("of unreferenced objects is connected", async () => {
    expect(() => assertConnected({ ...EMPTY }, [], undefined)).not.toThrow();
    const indexed = await indexedPackOf("blob");
    expect(() => assertConnected(indexed, [BLOB_ID], undefined)).not.toThrow();
  });
});

const EMPTY = await indexBytes(new PackBuilder().bytes());

test("objects that the repository held before are counted", async () => {
  const held = new MemoryObjects();
  held.addBlob("file");
  held.addBlob("another file");
  const indexed = await indexedPackOf("commit", "tree", "blob");
  expect(countKnownObjects(indexed, held)).toBe(1);
  expect(countKnownObjects(indexed, undefined)).toBe(0);
});

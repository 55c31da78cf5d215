import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Head, Ref, RefList } from "../../../lib/git/ports.ts";
import {
  chooseHaves,
  compareRefs,
  hasSameSymrefs,
  isSameHead,
  tipsOf,
} from "../../../lib/sync/ref-changes.ts";
import { objectIdOf } from "../../support/pack-builder.ts";

const idOf = (name: string) => objectIdOf("blob", name);

const refsFrom = (values: Readonly<Record<string, string>>): Ref[] =>
  Object.entries(values)
    .map(([name, value]) => ({ name, id: idOf(value) }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));

const list = (
  values: Readonly<Record<string, string>>,
  head: Head = { ref: "refs/heads/main" },
): RefList => ({
  head,
  refs: refsFrom(values),
});

const refValues = fc.dictionary(
  fc.constantFrom(
    "refs/heads/a",
    "refs/heads/b",
    "refs/heads/b/c",
    "refs/tags/t",
    "refs/pull/1",
    "refs/heads/é",
  ),
  fc.constantFrom("1", "2", "3"),
);

test("the changes turn the old refs into the new ones, in the order of names, and name nothing else", () => {
  fc.assert(
    fc.property(refValues, refValues, (before, after) => {
      const changes = compareRefs(list(before), list(after));
      const names = changes.map(({ name }) => name);
      expect(names).toEqual([...new Set(names)].toSorted());
      const values = new Map(refsFrom(before).map(({ name, id }) => [name, id]));
      for (const { name, oldId, newId } of changes) {
        expect(oldId).toBe(values.get(name));
        expect(newId).not.toBe(oldId);
        if (newId === undefined) values.delete(name);
        else values.set(name, newId);
      }
      expect(values).toEqual(new Map(refsFrom(after).map(({ name, id }) => [name, id])));
    }),
  );
});

test("a new ref has no old id, a deleted one no new id", () => {
  const changes = compareRefs(list({ "refs/heads/old": "1" }), list({ "refs/heads/new": "1" }));
  expect(changes).toEqual([
    { name: "refs/heads/new", newId: idOf("1") },
    { name: "refs/heads/old", oldId: idOf("1") },
  ]);
});

test.each<[Head, Head, boolean]>([
  [{ ref: "refs/heads/a" }, { ref: "refs/heads/a" }, true],
  [{ ref: "refs/heads/a" }, { ref: "refs/heads/b" }, false],
  [{ ref: "refs/heads/a" }, { id: idOf("1") }, false],
  [{ id: idOf("1") }, { ref: "refs/heads/a" }, false],
  [{ id: idOf("1") }, { id: idOf("1") }, true],
  [{ id: idOf("1") }, { id: idOf("2") }, false],
])("HEAD %j against %j: same is %j", (a, b, same) => {
  expect(isSameHead(a, b)).toBe(same);
});

test.each([
  ["the same", [["refs/a", "refs/b"]], [["refs/a", "refs/b"]], true],
  ["another target", [["refs/a", "refs/b"]], [["refs/a", "refs/c"]], false],
  ["another name", [["refs/a", "refs/b"]], [["refs/c", "refs/b"]], false],
  ["one more", [["refs/a", "refs/b"]], [], false],
  ["none", [], [], true],
] as const)("symbolic refs: %s", (_, before, after, same) => {
  const withSymrefs = (pairs: readonly (readonly [string, string])[]): RefList => ({
    ...list({}),
    symrefs: pairs.map(([name, target]) => ({ name, target })),
  });
  const [a, b] = [withSymrefs(before), withSymrefs(after)];
  expect(hasSameSymrefs(a, b)).toBe(same);
  expect(hasSameSymrefs({ ...a, head: { id: idOf("1") } }, b)).toBe(false);
  const { symrefs: _without, ...plain } = b;
  expect(hasSameSymrefs(a, plain)).toBe(same && before.length === 0);
});

test("tips are what refs and a detached HEAD name, each once", () => {
  const refs = { "refs/heads/a": "1", "refs/heads/b": "1", "refs/tags/t": "2" };
  expect(tipsOf(list(refs))).toEqual(new Set([idOf("1"), idOf("2")]));
  expect(tipsOf(list(refs, { id: idOf("3") }))).toEqual(new Set([idOf("1"), idOf("2"), idOf("3")]));
});

describe("haves", () => {
  const before: RefList = {
    head: { ref: "refs/heads/main" },
    refs: [
      { name: "refs/heads/gone", id: idOf("gone") },
      { name: "refs/heads/main", id: idOf("main") },
      { name: "refs/heads/moved", id: idOf("moved") },
      { name: "refs/tags/light", id: idOf("light") },
      { name: "refs/tags/v1", id: idOf("tag object"), peeledId: idOf("tagged commit") },
    ],
  };
  const after: RefList = {
    head: before.head,
    refs: [
      { name: "refs/heads/main", id: idOf("main") },
      { name: "refs/heads/moved", id: idOf("moved on") },
      { name: "refs/heads/new", id: idOf("new") },
    ],
  };
  const changes = compareRefs(before, after).filter(({ name }) => name.startsWith("refs/heads/"));

  test("begin with what has moved or gone, then branches, then tags as the commits they name", () => {
    expect(chooseHaves(before, changes)).toEqual(
      ["gone", "moved", "main", "light", "tagged commit"].map(idOf),
    );
  });

  test("are cut off at the limit, and never name what is only new", () => {
    expect(chooseHaves(before, changes).slice(0, 2)).toEqual(["gone", "moved"].map(idOf));
    expect(chooseHaves(before, changes)).not.toContain(idOf("new"));
  });
});

import { describe, expect, test } from "vitest";
import { parseFilterSpec } from "../../../../lib/git/upload-pack/filter-spec.ts";
import { RefusedRequestError } from "../../../../lib/git/upload-pack/refused-request.ts";

const ALL = ["commit", "tree", "blob", "tag"];
const NONE = Number.POSITIVE_INFINITY;

function parsed(text: string) {
  const { types, ...rest } = parseFilterSpec(text);
  return { types: [...types], ...rest };
}

test.each([
  ["blob:none", { maxBlobBytes: 0 }],
  ["blob:limit=0", { maxBlobBytes: 0 }],
  ["blob:limit=1000", { maxBlobBytes: 1000 }],
  ["blob:limit=2k", { maxBlobBytes: 2048 }],
  ["blob:limit=3M", { maxBlobBytes: 3 * 2 ** 20 }],
  ["blob:limit=1g", { maxBlobBytes: 2 ** 30 }],
  ["tree:0", { maxDepth: 0 }],
  ["tree:12", { maxDepth: 12 }],
  ["object:type=tag", { types: ["tag"] }],
  ["sparse:oid=main:a/b", { sparseNames: ["main:a/b"] }],
  ["combine:tree:3+blob:none", { maxDepth: 3, maxBlobBytes: 0 }],
  ["combine:tree:3+tree:1", { maxDepth: 1 }],
  ["combine:blob:limit=5+blob:limit=9", { maxBlobBytes: 5 }],
  ["combine:object:type=blob+object:type=tree", { types: [] }],
  ["combine:+tree:1+", { maxDepth: 1 }],
  ["combine:%74ree%3A1", { maxDepth: 1 }],
  ["combine:sparse:oid=main%3Aa%2520b", { sparseNames: ["main:a%20b"] }],
  ["combine:sparse:oid=main:gr%C3%BC%c3%9fe", { sparseNames: ["main:gr\u00c3\u00bc\u00c3\u009fe"] }],
  ["combine:combine:tree:2%2Bblob:none+tree:1", { maxDepth: 1, maxBlobBytes: 0 }],
])("%s is understood", (text, expected) => {
  const defaults = { types: ALL, maxDepth: NONE, maxBlobBytes: NONE, sparseNames: [] };
  expect(parsed(text)).toEqual({ ...defaults, ...expected });
});

describe("refused, with git's words", () => {
  test.each([
    ["", "invalid filter-spec ''"],
    ["blob", "invalid filter-spec 'blob'"],
    ["blob:limit=", "invalid filter-spec 'blob:limit='"],
    ["blob:limit=-1", "invalid filter-spec 'blob:limit=-1'"],
    ["blob:limit=1t", "invalid filter-spec 'blob:limit=1t'"],
    ["tree:", "expected 'tree:<depth>'"],
    ["tree:deep", "expected 'tree:<depth>'"],
    ["object:type=file", "'file' for 'object:type=<type>' is not a valid object type"],
    ["object:type=constructor", "'constructor' for 'object:type=<type>' is not a valid object type"],
    ["sparse:path=/etc/passwd", "sparse:path filters support has been dropped"],
    ["combine:", "expected something after combine:"],
    ["combine:tree:1+blob:%6eon", "invalid filter-spec 'blob:non'"],
    ["combine:tree:1+sparse:oid=a b", "must escape char in sub-filter-spec: ' '"],
    ["combine:tree:1+sparse:oid=a~1", "must escape char in sub-filter-spec: '~'"],
  ])("%s", (text, message) => {
    expect(() => parseFilterSpec(text)).toThrow(new RefusedRequestError(message));
  });
});

describe("limits", () => {
  const times = (count: number, text: string) =>
    `combine:${Array.from({ length: count }, () => text).join("+")}`;
  const nested = (depth: number): string =>
    depth === 0 ? "tree:1" : `combine:${encodeURIComponent(nested(depth - 1))}`;

  test("twenty filters may be combined", () => {
    expect(parsed(times(20, "tree:1"))).toMatchObject({ maxDepth: 1 });
    expect(() => parseFilterSpec(times(21, "tree:1"))).toThrow("filter combines more than 20 filters");
  });

  test("four times nested", () => {
    expect(parsed(nested(4))).toMatchObject({ maxDepth: 1 });
    expect(() => parseFilterSpec(nested(5))).toThrow("filter is nested more than 4 times");
  });

  test("three of them sparse", () => {
    expect(parsed(times(3, "sparse:oid=a")).sparseNames.length).toBe(3);
    expect(() => parseFilterSpec(times(4, "sparse:oid=a"))).toThrow("more than 3 sparse filters");
  });
});

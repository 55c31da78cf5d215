/** Requests with one key must be answered alike, whenever they come; all others need keys of their own. */
import { describe, expect, test } from "vitest";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import type { RefList } from "../../../../lib/git/ports.ts";
import { type AnswerSubject, answerKey, isWorthSharing } from "../../../../lib/git/upload-pack/answer-key.ts";
import type { FetchRequest } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { parseFilterSpec } from "../../../../lib/git/upload-pack/filter-spec.ts";
import { INFINITE_DEPTH } from "../../../../lib/git/upload-pack/history-lines.ts";
import { parseSparsePatterns } from "../../../../lib/git/walk/sparse-patterns.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";
import { utf8 } from "../../../support/byte-chunks.ts";
import { CountedSlices } from "../../../support/counted-slices.ts";

const id = (digit: string) => parseObjectId(digit.repeat(40));
const [A, B, C, TAG] = [id("a"), id("b"), id("c"), id("d")];

const DEPTH_1: FetchRequest = {
  wants: [A],
  wantRefs: [],
  haves: [],
  shallows: [],
  deepen: { kind: "depth", depth: 1, isRelative: false },
  filter: undefined,
  isDone: true,
  waitForDone: false,
  thinPack: true,
  ofsDelta: true,
  noProgress: false,
  includeTag: false,
  sidebandAll: false,
  uriProtocols: [],
};
const SUBJECT: AnswerSubject = { wants: [A, B], commonIds: new Set(), shallows: [], filter: undefined };
const REFS: RefList = {
  head: { ref: "refs/heads/main" },
  refs: [
    { name: "refs/heads/main", id: A },
    { name: "refs/heads/old", id: C },
    { name: "refs/tags/light", id: B },
  ],
};
const WITH_TAG: RefList = { ...REFS, refs: [...REFS.refs, { name: "refs/tags/v1", id: TAG, peeledId: A }] };

const keyOf = (
  request: Partial<FetchRequest> = {},
  subject: Partial<AnswerSubject> = {},
  refList: RefList = REFS,
) => answerKey({ ...DEPTH_1, ...request }, refList, { ...SUBJECT, ...subject }, new WorkSlices());

const notBefore = (...excluded: string[]): Partial<FetchRequest> => ({
  deepen: { kind: "revisions", sinceSeconds: 0, excluded },
});

describe("the same key", () => {
  test.each<[string, Parameters<typeof keyOf>]>([
    ["wants in another order", [{}, { wants: [B, A] }]],
    ["progress or none", [{ noProgress: true, isDone: false, sidebandAll: true }]],
    ["wants by the name of a ref", [{ wants: [], wantRefs: ["refs/heads/main"] }]],
    ["haves that are not here", [{ haves: [C] }]],
    ["thin packs, without anything in common", [{ thinPack: false }]],
    ["tags, where none is annotated", [{ includeTag: true }]],
    ["another push", [{}, {}, { ...REFS, refs: [{ name: "refs/heads/main", id: A }] }]],
    ["another tag, if tags are not asked for", [{}, {}, WITH_TAG]],
  ])("%s", async (_, args) => {
    expect(await keyOf(...args)).toBe(await keyOf());
  });

  test("two names of one commit that history is not to reach", async () => {
    expect(await keyOf(notBefore("old"))).toBe(await keyOf(notBefore("refs/heads/old")));
  });
});

test("another key for whatever the answer's objects or bytes depend on", async () => {
  const filter = (text: string) => {
    const { sparseNames: _, ...spec } = parseFilterSpec(text);
    return { ...spec, sparse: [] };
  };
  const sparse = async (text: string) => ({
    ...filter("blob:none"),
    sparse: [await parseSparsePatterns(utf8(text))],
  });
  const common = { commonIds: new Set([C]) };
  const keys = [
    await keyOf(),
    await keyOf({}, { wants: [A] }),
    await keyOf({}, common),
    await keyOf({ thinPack: false }, common),
    await keyOf({}, { shallows: [C] }),
    await keyOf({ deepen: undefined }),
    await keyOf({ deepen: { kind: "depth", depth: 2, isRelative: false } }),
    await keyOf({ deepen: { kind: "revisions", sinceSeconds: 1, excluded: [] } }),
    await keyOf({ deepen: { kind: "revisions", sinceSeconds: 2, excluded: [] } }),
    await keyOf(notBefore("old")),
    await keyOf(notBefore("old", "light")),
    await keyOf({ ofsDelta: false }),
    await keyOf({}, { filter: filter("blob:none") }),
    await keyOf({}, { filter: filter("blob:limit=1") }),
    await keyOf({}, { filter: filter("tree:0") }),
    await keyOf({}, { filter: filter("tree:1") }),
    await keyOf({}, { filter: filter("object:type=commit") }),
    await keyOf({}, { filter: await sparse("/a\n") }),
    await keyOf({}, { filter: await sparse("/b\n") }),
    await keyOf({ includeTag: true }, {}, WITH_TAG),
    await keyOf(
      { includeTag: true },
      {},
      {
        ...WITH_TAG,
        refs: [{ name: "refs/tags/v1", id: TAG, peeledId: B }],
      },
    ),
  ];
  for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(keys).size).toBe(keys.length);
});

test("a name that means no ref, or several, has no key", async () => {
  const twice = { ...REFS, refs: [...REFS.refs, { name: "refs/tags/old", id: A }] };
  expect(await keyOf(notBefore("nothing"))).toBeUndefined();
  expect(await keyOf(notBefore("old"), {}, twice)).toBeUndefined();
});

describe("shared is", () => {
  const deepened = (depth: number, isRelative = false): Partial<FetchRequest> => ({
    deepen: { kind: "depth", depth, isRelative },
  });
  const filtered = (text: string): Partial<FetchRequest> => ({
    deepen: undefined,
    filter: parseFilterSpec(text),
  });
  test.each<[string, boolean, Partial<FetchRequest>]>([
    ["a depth", true, deepened(1)],
    ["an age", true, notBefore()],
    ["a depth with a filter by type", true, { filter: parseFilterSpec("blob:none") }],
    ["a filter by depth", true, filtered("tree:1")],
    ["a filter by path", true, filtered("sparse:oid=main:sparse")],
    ["the whole depth", false, deepened(INFINITE_DEPTH)],
    ["a depth from where the client is", false, deepened(1, true)],
    ["a filter by depth, from where the client is", false, { ...filtered("tree:1"), ...deepened(1, true) }],
    ["a filter by type", false, filtered("blob:none")],
    ["commits alone", false, filtered("tree:0")],
    ["all", false, { deepen: undefined }],
  ])("%s: %s", (_, expected, request) => {
    expect(isWorthSharing({ ...DEPTH_1, ...request })).toBe(expected);
  });
});

test("many ids are sorted in pieces", async () => {
  const wants = Array.from({ length: 50_000 }, (_, i) =>
    parseObjectId(
      Math.imul(i, 0x9e3779b1 | 0)
        .toString(16)
        .replace("-", "")
        .padStart(8, "0")
        .repeat(5),
    ),
  );
  const slices = new CountedSlices();
  const subject = { ...SUBJECT, wants: wants.toReversed() };
  expect(await answerKey(DEPTH_1, REFS, subject, slices)).toBe(await keyOf({}, { wants }));
  expect(slices.turns).toBeGreaterThan(3);
  expect(slices.longestBlockSteps).toBeLessThan(10_300);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import { pktText } from "../../../../lib/git/pktline.ts";
import type { RefList } from "../../../../lib/git/ports.ts";
import { advertiseV0, advertiseV2, chooseProtocol } from "../../../../lib/git/upload-pack/capabilities.ts";
import type { LsRefsRequest } from "../../../../lib/git/upload-pack/fetch-request.ts";
import { listRefs } from "../../../../lib/git/upload-pack/ls-refs.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";

const A = parseObjectId("a".repeat(40));
const B = parseObjectId("b".repeat(40));
const SERVER = { agent: "nearside/1", sessionId: "one" };
const REFS = [
  { name: "refs/heads/main", id: A },
  { name: "refs/tags/v1", id: B, peeledId: A },
];
const AT_MAIN: RefList = { head: { ref: "refs/heads/main" }, refs: REFS };
const UNBORN: RefList = { head: { ref: "refs/heads/trunk" }, refs: REFS };
const DETACHED: RefList = { head: { id: B }, refs: REFS };
const AT_TAG: RefList = { head: { id: B, peeledId: A }, refs: REFS };
const WITH_ALIAS: RefList = {
  ...{ head: AT_MAIN.head, symrefs: [{ name: "refs/heads/alias", target: "refs/heads/main" }] },
  refs: [{ name: "refs/heads/alias", id: A }, ...REFS],
};
const EMPTY: RefList = { head: { ref: "refs/heads/main" }, refs: [] };

/** The lines' texts; a flush is `0000`. */
function textsOf(lines: Iterable<Uint8Array>): string[] {
  return [...lines].map((line) => (line.length === 4 ? "0000" : pktText(line.subarray(4))));
}

async function listedTexts(refList: RefList, request: LsRefsRequest): Promise<string[]> {
  return textsOf(await listRefs(refList, request, new WorkSlices()));
}

describe("version 0", () => {
  test("HEAD comes first, tags are peeled, capabilities stand on the first line only", () => {
    const [first, ...rest] = textsOf(advertiseV0(AT_MAIN, SERVER, 0));
    expect(first).toMatch(
      new RegExp(
        `^${A} HEAD\0multi_ack .* symref=HEAD:refs/heads/main session-id=one object-format=sha1 agent=nearside/1$`,
      ),
    );
    expect(rest).toEqual([`${A} refs/heads/main`, `${B} refs/tags/v1`, `${A} refs/tags/v1^{}`, "0000"]);
  });

  test("without what HEAD names, the first ref comes first", () => {
    const [first] = textsOf(advertiseV0(UNBORN, SERVER, 0));
    expect(first?.startsWith(`${A} refs/heads/main\0`)).toBe(true);
    expect(first).not.toContain("symref=");
  });

  test("a detached HEAD has no symref", () => {
    const [first] = textsOf(advertiseV0(DETACHED, SERVER, 0));
    expect(first?.startsWith(`${B} HEAD\0`)).toBe(true);
    expect(first).not.toContain("symref=");
  });

  test("a HEAD detached at a tag is peeled as tags are; of symbolic refs HEAD's target alone is said", () => {
    const [first, second] = textsOf(advertiseV0(AT_TAG, SERVER, 0));
    expect(first?.startsWith(`${B} HEAD\0`)).toBe(true);
    expect(second).toBe(`${A} HEAD^{}`);
    const [head, alias] = textsOf(advertiseV0(WITH_ALIAS, SERVER, 0));
    expect(head).toContain("symref=HEAD:refs/heads/main ");
    expect(alias).toBe(`${A} refs/heads/alias`);
  });

  test("an empty repository still advertises its capabilities", () => {
    const [first, ...rest] = textsOf(advertiseV0(EMPTY, SERVER, 0));
    expect(first?.startsWith(`${"0".repeat(40)} capabilities^{}\0multi_ack `)).toBe(true);
    expect(rest).toEqual(["0000"]);
  });

  test("version 1 says so first", () => {
    expect(textsOf(advertiseV0(EMPTY, SERVER, 1))[0]).toBe("version 1");
  });
});

test("version 2 advertises what is handled", () => {
  expect(textsOf(advertiseV2(SERVER, { handsOutUrls: false }))).toEqual([
    "version 2",
    "agent=nearside/1",
    "ls-refs=unborn",
    "fetch=shallow wait-for-done filter ref-in-want sideband-all",
    "server-option",
    "object-format=sha1",
    "session-id=one",
    "object-info=size",
    "0000",
  ]);
});

test("version 2 advertises packs and bundles from elsewhere where there may be some", () => {
  const lines = textsOf(advertiseV2(SERVER, { handsOutUrls: true }));
  expect(lines).toContain("fetch=shallow wait-for-done filter ref-in-want sideband-all packfile-uris");
  expect(lines).toContain("bundle-uri");
});

test.each([
  [undefined, 0],
  ["", 0],
  ["version=1", 1],
  ["version=2", 2],
  ["side:version=1:version=2", 2],
  ["version=3", 0],
  ["version=22", 0],
] as const)("Git-Protocol %j means version %d", (header, version) => {
  expect(chooseProtocol(header)).toBe(version);
});

describe("ls-refs", () => {
  const plain = { peel: false, symrefs: false, unborn: false, prefixes: [] };
  const full = { ...plain, peel: true, symrefs: true, unborn: true };

  test.each([
    ["all", AT_MAIN, plain, [`${A} HEAD`, `${A} refs/heads/main`, `${B} refs/tags/v1`]],
    [
      "peeled, with symrefs",
      AT_MAIN,
      full,
      [`${A} HEAD symref-target:refs/heads/main`, `${A} refs/heads/main`, `${B} refs/tags/v1 peeled:${A}`],
    ],
    ["an unborn HEAD", EMPTY, full, ["unborn HEAD symref-target:refs/heads/main"]],
    ["an unborn HEAD that was not asked for", EMPTY, { ...full, unborn: false }, []],
    ["a detached HEAD", DETACHED, { ...full, prefixes: ["HEAD"] }, [`${B} HEAD`]],
    ["a HEAD detached at a tag", AT_TAG, { ...full, prefixes: ["HEAD"] }, [`${B} HEAD peeled:${A}`]],
    ["the same, not to be peeled", AT_TAG, { ...plain, prefixes: ["HEAD"] }, [`${B} HEAD`]],
    [
      "where symbolic refs lead",
      WITH_ALIAS,
      { ...full, prefixes: ["refs/heads/"] },
      [`${A} refs/heads/alias symref-target:refs/heads/main`, `${A} refs/heads/main`],
    ],
    [
      "symbolic refs as others where it was not asked for",
      WITH_ALIAS,
      { ...full, symrefs: false, prefixes: ["refs/heads/a"] },
      [`${A} refs/heads/alias`],
    ],
    [
      "by prefix",
      AT_MAIN,
      { ...plain, prefixes: ["refs/tags/", "refs/tags/v", "nothing"] },
      [`${B} refs/tags/v1`],
    ],
  ])("lists %s", async (_, refList, request, expected) => {
    expect(await listedTexts(refList, request)).toEqual([...expected, "0000"]);
  });

  test("prefixes match as if each were tried", async () => {
    const text = fc.string({
      unit: fc.constantFrom("a", "b", "/", "\u00e9", "\u00a0", "\u0080"),
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { minLength: 1, maxLength: 8 }),
        fc.uniqueArray(text),
        async (prefixes, names) => {
          const sorted = names.toSorted((a, b) => (a < b ? -1 : 1));
          const refList: RefList = { head: UNBORN.head, refs: sorted.map((name) => ({ name, id: A })) };
          const expected = sorted.filter((name) => prefixes.some((prefix) => name.startsWith(prefix)));
          expect(await listedTexts(refList, { ...plain, prefixes })).toEqual([
            ...expected.map((name) => `${A} ${name}`),
            "0000",
          ]);
        },
      ),
    );
  });
});

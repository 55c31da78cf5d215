import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { LimitExceededError, StoppedError } from "../../../../lib/errors.ts";
import { markMissingObjects } from "../../../../lib/git/walk/missing-objects.ts";
import { ALL_TYPES } from "../../../../lib/git/walk/object-filter.ts";
import { ObjectMarks } from "../../../../lib/git/walk/object-marks.ts";
import {
  MAX_SPARSE_PATTERNS,
  MatchBudget,
  parseSparsePatterns,
  type SparsePatterns,
} from "../../../../lib/git/walk/sparse-patterns.ts";
import { compileWildmatch } from "../../../../lib/git/walk/wildmatch.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";
import { CountedSlices } from "../../../support/counted-slices.ts";
import { type Folder, MemoryObjects } from "../../../support/memory-objects.ts";

class CountedSteps {
  count = 0;

  add(steps: number): void {
    this.count += steps;
  }
}

const patternsOf = (text: string) => parseSparsePatterns(Buffer.from(text, "latin1"));

describe("a pattern", () => {
  // Taken from what git-check-ignore(1) says of the same pairs.
  test.each([
    ["foo", "foo", true],
    ["foo", "foobar", false],
    ["foo", "", false],
    ["*", "foo", true],
    ["*", "foo/bar", false],
    ["foo*", "foo/bar", false],
    ["*f", "foof", true],
    ["f??", "foo", true],
    ["f?o", "f/o", false],
    ["**/foo", "foo", true],
    ["**/foo", "a/b/foo", true],
    ["**/foo", "a/foob", false],
    ["foo/**", "foo/a/b", true],
    ["foo/**", "foo", false],
    ["foo/**/bar", "foo/bar", true],
    ["foo/**/bar", "foo/a/b/bar", true],
    ["foo/**/bar", "foobar", false],
    ["foo/**bar", "foo/a/bar", false],
    ["foo/**bar", "foo/abar", true],
    ["foo**bar", "foo/bar", false],
    ["[abc]x", "bx", true],
    ["[!abc]x", "bx", false],
    ["[^abc]x", "dx", true],
    ["[a-c]x", "bx", true],
    ["[]]x", "]x", true],
    ["[!]]x", "]x", false],
    ["[a-]x", "-x", true],
    ["[[:digit:]]x", "7x", true],
    ["[[:alpha:]_]x", "_x", true],
    ["[[:nothing:]]x", "ax", false],
    ["[\\]]x", "]x", true],
    ["[!a]x", "/x", false],
    ["[a", "a", false],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["a\\", "a", false],
    ["*a*b*c*", "xxaxxbxxcxx", true],
    ["*a*b*c*", "xxaxxcxxbxx", false],
  ])("%s and %s: %s", (pattern, text, expected) => {
    expect(compileWildmatch(pattern)?.matches(text, new CountedSteps()) ?? false).toBe(expected);
  });

  test("matches what the same regular expression does", () => {
    const piece = fc.constantFrom("a", "b", "*", "**", "?", "/", "/**/", "[ab]", "[!a]");
    const sources = new Map([
      ["**", "[^/]*"],
      ["*", "[^/]*"],
      ["?", "[^/]"],
      ["[ab]", "[ab]"],
      ["[!a]", "[^a/]"],
    ]);
    const sourceOf = (pattern: string) => {
      const isOpenEnded = /(^|\/)\*\*$/.test(pattern);
      const closed = isOpenEnded ? pattern.slice(0, -2) : pattern;
      const parts = closed.match(/(?<=^|\/)\*\*\/|\*+|\[!a\]|\[ab\]|./g) ?? [];
      const source = parts.map((part) =>
        part === "**/" ? "(?:.*/)?" : (sources.get(part.replace(/^\*+$/, "*")) ?? part),
      );
      return `^${source.join("")}${isOpenEnded ? ".*" : ""}$`;
    };
    const text = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 8 });
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), text, (pieces, path) => {
        const pattern = pieces.join("");
        const expected = new RegExp(sourceOf(pattern)).test(path);
        expect(compileWildmatch(pattern)?.matches(path, new CountedSteps())).toBe(expected);
      }),
      { numRuns: 5000 },
    );
  });

  test.each(["*.json", "docs/*", "/src/**", "README.md", "docs/*.md"])(
    "%s is compared as a string",
    (text) => {
      const steps = new CountedSteps();
      expect(compileWildmatch(text)?.matches("a".repeat(2000), steps)).toBe(false);
      expect(steps.count).toBeLessThan(10);
    },
  );

  test("of brackets counts what is in them", () => {
    const steps = new CountedSteps();
    const pattern = compileWildmatch(`*[${"a-b".repeat(300)}]*`);
    expect(pattern?.matches("c".repeat(1000), steps)).toBe(false);
    expect(steps.count).toBeGreaterThan(300_000);
  });

  test("of many stars takes no longer than its length times the text's", () => {
    const steps = new CountedSteps();
    const pattern = compileWildmatch(`${"*a".repeat(300)}?b`);
    expect(pattern?.matches(`${"a".repeat(2000)}cb`, steps)).toBe(true);
    expect(pattern?.matches(`${"a".repeat(298)}bcb`, steps)).toBe(false);
    expect(steps.count).toBeLessThan(603 * 2305);
  });
});

describe("patterns", () => {
  test.each([
    ["*.txt", "a/b.txt", false, true],
    ["*.txt", "a.c", false, undefined],
    ["/a", "a", true, true],
    ["/a", "b/a", true, undefined],
    ["a/b", "x/a/b", false, undefined],
    ["a/", "a", true, true],
    ["a/", "a", false, undefined],
    ["*\n!*.c", "x.c", false, false],
    ["!*.c\n*", "x.c", false, true],
    ["/", "", true, true],
    ["/", "a", true, undefined],
    ["# a\n\n\\#b", "#b", false, true],
    ["\\!a", "!a", false, true],
    ["a  ", "a", false, true],
    ["a\\ ", "a ", false, true],
    ["a\r\nb\r\n", "a", false, true],
    ["\u00ef\u00bb\u00bfa", "a", false, true],
  ])("%j say of %j (folder: %s): %s", async (text, path, isFolder, expected) => {
    expect(await (await patternsOf(text)).includes(path, isFolder, new MatchBudget(new WorkSlices()))).toBe(
      expected,
    );
  });

  test("are not more than a thousand", async () => {
    await patternsOf("a\n".repeat(MAX_SPARSE_PATTERNS));
    await expect(patternsOf("a\n".repeat(MAX_SPARSE_PATTERNS + 1))).rejects.toThrow(LimitExceededError);
  });

  test("are not longer than a kilobyte", async () => {
    await patternsOf("a".repeat(1024));
    await expect(patternsOf("a".repeat(1025))).rejects.toThrow("a pattern of more than 1024 bytes");
  });
});

describe("a hostile sparse filter", () => {
  /** As many patterns as may be, as long as may be, of which none ever matches: and a deep path of long names. */
  const text = `${"*a".repeat(510)}[b]\n`.repeat(990);
  let patterns: SparsePatterns;
  beforeAll(async () => {
    patterns = await patternsOf(text);
  });
  const objects = new MemoryObjects();
  let nested: Folder = { file: "1" };
  for (let i = 0; i < 10; i++) nested = { ["a".repeat(255)]: nested };
  const tip = objects.addCommit(nested, [], 1);

  async function walk(slices: CountedSlices): Promise<void> {
    objects.slices = slices;
    const filter = { types: ALL_TYPES, maxDepth: Infinity, maxBlobBytes: Infinity, sparse: [patterns] };
    const marks = new ObjectMarks(objects.objectCount);
    for await (const _ of markMissingObjects(objects, marks, { wants: [tip], commonCommits: [], filter }));
  }

  test("is read with pauses for others", async () => {
    const slices = new CountedSlices();
    await parseSparsePatterns(Buffer.from(text, "latin1"), slices);
    expect(slices.turns).toBeGreaterThan(5);
    expect(slices.longestBlockSteps).toBeLessThan(11_000);
  });

  test("is refused when the budget is spent", async () => {
    const budget = new MatchBudget(new WorkSlices(), 10_000_000);
    const matching = patterns.includes(Array(5).fill("a".repeat(255)).join("/"), false, budget);
    await expect(matching).rejects.toThrow(LimitExceededError);
  });

  test("leaves others their turn, and ends when its client has gone", async () => {
    const aborting = new AbortController();
    const slices = new CountedSlices(aborting.signal, (turns) => turns === 20 && aborting.abort());
    await expect(walk(slices)).rejects.toThrow(StoppedError);
    expect(slices.turns).toBe(20);
    // In microseconds, about: a pattern against a path, and what a slice has beside.
    expect(slices.longestBlockSteps).toBeLessThan(60_000);
  });
});

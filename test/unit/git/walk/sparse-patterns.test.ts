import { describe, expect, test } from "vitest";
import { LimitExceededError } from "../../../../lib/errors.ts";
import { MAX_SPARSE_PATTERNS, parseSparsePatterns } from "../../../../lib/git/walk/sparse-patterns.ts";
import { compileWildmatch } from "../../../../lib/git/walk/wildmatch.ts";

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
    expect(compileWildmatch(pattern)?.matches(text) ?? false).toBe(expected);
  });

  test("of many stars takes no longer than its length times the text's", () => {
    const pattern = compileWildmatch(`${"*a".repeat(300)}b`);
    expect(pattern?.matches("a".repeat(2000))).toBe(false);
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
  ])("%j say of %j (folder: %s): %s", (text, path, isFolder, expected) => {
    expect(patternsOf(text).includes(path, isFolder)).toBe(expected);
  });

  test("are not more than a thousand", () => {
    expect(patternsOf("a\n".repeat(MAX_SPARSE_PATTERNS)).patternCount).toBe(MAX_SPARSE_PATTERNS);
    expect(() => patternsOf("a\n".repeat(MAX_SPARSE_PATTERNS + 1))).toThrow(LimitExceededError);
  });

  test("are not longer than a kilobyte", () => {
    expect(patternsOf("a".repeat(1024)).patternCount).toBe(1);
    expect(() => patternsOf("a".repeat(1025))).toThrow("a pattern of more than 1024 bytes");
  });
});

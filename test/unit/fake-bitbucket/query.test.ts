import { describe, expect, test } from "vitest";
import { BadQueryError, pageOf, parseQuery, sorted } from "../../support/fake-bitbucket/query.ts";

const TOOLS = {
  slug: "tools",
  size: 9,
  updated_on: "2026-05-01T10:00:00.000000+00:00",
  project: { key: "OPS" },
};
const SITE = {
  slug: "site",
  size: 10,
  updated_on: "2026-04-01T10:00:00.000000+00:00",
  project: { key: "W B" },
};

describe("q", () => {
  test.each([
    { query: 'project.key="OPS"', found: [TOOLS] },
    { query: 'project.key = "W B"', found: [SITE] },
    { query: 'slug != "tools"', found: [SITE] },
    { query: 'slug ~ "OO"', found: [TOOLS] },
    { query: 'slug !~ "OO"', found: [SITE] },
    { query: "updated_on > 2026-04-15T00:00:00Z", found: [TOOLS] },
    { query: "updated_on <= 2026-04-01T12:00:00+02:00", found: [SITE] },
    { query: "size >= 10", found: [SITE] },
    { query: 'size < 100 AND slug = "tools"', found: [TOOLS] },
  ])("$query", ({ query, found }) => {
    expect([TOOLS, SITE].filter(parseQuery(query))).toEqual(found);
  });

  test.each(["", "slug", "slug = ", 'nonsense = "x"', 'slug = "a" OR slug = "b"'])(
    "%j is refused",
    (query) => {
      expect(() => [TOOLS].filter(parseQuery(query))).toThrow(BadQueryError);
    },
  );
});

test("sort orders numbers as numbers and times as times, in either direction", () => {
  expect(sorted([SITE, TOOLS], "size")).toEqual([TOOLS, SITE]);
  expect(sorted([SITE, TOOLS], "-size")).toEqual([SITE, TOOLS]);
  expect(sorted([TOOLS, SITE], "updated_on")).toEqual([SITE, TOOLS]);
  expect(() => sorted([TOOLS, SITE], "nonsense")).toThrow(BadQueryError);
});

test("following `next` gives each value once and keeps the other parameters", () => {
  const values = Array.from({ length: 23 }, (_, i) => i);
  const seen: unknown[] = [];
  let url: URL | undefined = new URL("http://127.0.0.1/2.0/repositories/acme?pagelen=10&q=x");
  while (url !== undefined) {
    expect(url.searchParams.get("q")).toBe("x");
    const page = pageOf(values, url) as { values: unknown[]; next?: string };
    expect(page.values.length).toBeLessThanOrEqual(10);
    seen.push(...page.values);
    url = page.next === undefined ? undefined : new URL(page.next);
  }
  expect(seen).toEqual(values);
});

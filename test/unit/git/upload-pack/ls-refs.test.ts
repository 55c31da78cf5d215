import { describe, expect, test } from "vitest";
import { parseObjectId } from "../../../../lib/git/object-id.ts";
import { findMissingRef } from "../../../../lib/git/upload-pack/ls-refs.ts";
import { WorkSlices } from "../../../../lib/git/work-slices.ts";

const id = parseObjectId("5".repeat(40));
const NAMES = [
  "refs/heads/main",
  "refs/heads/release-1",
  "refs/pull/7/head",
  "refs/remotes/fork/HEAD",
  "refs/tags/v1",
];
const REFS = { head: { ref: "refs/heads/main" }, refs: NAMES.map((name) => ({ name, id })) };

async function lacks(...prefixes: readonly string[]): Promise<boolean> {
  const request = { prefixes, symrefs: true, peel: true, unborn: true };
  return (await findMissingRef(REFS, request, new WorkSlices())) !== undefined;
}

/** What git sends for a name. Source: git, refs.c, "expand_ref_prefix". */
function named(name: string): string[] {
  const folders = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];
  return [...folders.map((folder) => folder + name), `refs/remotes/${name}/HEAD`];
}

describe("nothing is missing", () => {
  test.each([
    ["of everything", []],
    ["of a name", named("main")],
    ["of a tag's name", named("v1")],
    ["of a remote's name", named("fork")],
    ["of a full name", named("refs/heads/main")],
    ["of a tag's full name", named("refs/tags/v1")],
    ["of a name in another folder", named("refs/pull/7/head")],
    ["of names from `refs/` on", [...named("heads/main"), ...named("pull/7/head")]],
    ["of HEAD", ["HEAD"]],
    ["of HEAD as a name", named("HEAD")],
    ["of folders, though empty", ["refs/heads/", "refs/notes/"]],
    ["of a pattern", ["refs/heads/rel", "HEAD", "refs/tags/"]],
    ["of a name and a pattern that begins with it", [...named("main"), "refs/heads/main"]],
    ["of a full name alone, as other clients send it", ["refs/heads/main"]],
    ["of several names", [...named("refs/heads/main"), ...named("refs/heads/release-1"), ...named("v1")]],
  ])("%s", async (_, prefixes) => {
    expect(await lacks(...prefixes)).toBe(false);
    expect(await lacks(...prefixes.toReversed())).toBe(false);
  });
});

describe("something is missing", () => {
  test.each([
    ["of a name", named("later")],
    ["of a name that others begin with", named("release")],
    ["of a full name", named("refs/heads/later")],
    ["of a full name that others begin with", named("refs/heads/release")],
    ["of a name that is another's folder", named("refs/pull")],
    ["of a name that ends with another one", named("heads/heads/main")],
    ["of a full name in the other folder", named("refs/tags/main")],
    ["of one of several names", [...named("main"), ...named("later"), ...named("v1")]],
    ["of a full name alone, as other clients send it", ["refs/heads/later"]],
    ["of a pattern", ["refs/heads/main", "refs/heads/feature-"]],
    ["of a name, beside folders", ["HEAD", "refs/tags/", ...named("refs/heads/later")]],
  ])("%s", async (_, prefixes) => {
    expect(await lacks(...prefixes)).toBe(true);
    expect(await lacks(...prefixes.toReversed())).toBe(true);
  });
});

import { describe, expect, test } from "vitest";
import { isRefName } from "../../../lib/git/ref-name.ts";
import { tryGit } from "../../support/git/run-git.ts";

const NAMES = [
  ...["refs/heads/main", "refs/heads/a/b/c", "refs/heads/grüße", "refs/heads/@", "refs/heads/-x", "refs/x"],
  ...["refs/heads/a.b", "refs/heads/a.locked", "refs/heads/a@b", "refs/heads/{a}", "refs/heads/😀"],
  ...["refs/heads/", "refs/heads//a", "/refs/heads/a", "refs/heads/.a", "refs/heads/a.", "refs/heads/a..b"],
  ...[
    "refs/heads/a.lock",
    "refs/a.lock/b",
    "refs/heads/a b",
    "refs/heads/a~b",
    "refs/heads/a^b",
    "refs/heads/a:b",
  ],
  ...[
    "refs/heads/a?b",
    "refs/heads/a*b",
    "refs/heads/a[b",
    "refs/heads/a\\b",
    "refs/heads/a@{b",
    "refs/heads/a\tb",
  ],
  ...["refs/heads/a\u007fb", "refs/heads/a\nb", "refs/./a", "refs/../a"],
];

describe("ref names", () => {
  test.each(NAMES)("%j is judged as git judges it", async (name) => {
    const { exitCode } = await tryGit(["check-ref-format", name]);
    expect(isRefName(name)).toBe(exitCode === 0);
  });

  test.each(["HEAD", "main", "refs", "heads/main"])("%j is not a full name", (name) => {
    expect(isRefName(name)).toBe(false);
  });
});

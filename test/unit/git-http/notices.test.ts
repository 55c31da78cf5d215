import { expect, test } from "vitest";
import { freshnessLine, staleNotice } from "../../../lib/git-http/status.ts";

const source = (ageSeconds?: number) =>
  ({
    ...(ageSeconds !== undefined && { verifiedAt: new Date(Date.now() - ageSeconds * 1000) }),
  }) as Parameters<typeof freshnessLine>[0];

test("a stale yes is reported with its age, a fresh one is not", () => {
  expect(staleNotice({ kind: "allowed" })).toBeUndefined();
  expect(staleNotice({ kind: "allowed", staleSeconds: 0 })).toBe(
    "mirror: Bitbucket could not be asked just now; it allowed you this 0 s ago, and the content may be older than there\n",
  );
});

test("the age of the refs is reported where it is known", () => {
  expect(freshnessLine(source(), { kind: "allowed" })).toBeUndefined();
  expect(freshnessLine(source(7_200), { kind: "allowed" })).toBe("nearside: refs verified 2 h ago\n");
  expect(freshnessLine(source(7_200), { kind: "allowed", staleSeconds: 5 })).toBe(
    "nearside: refs verified 2 h ago, stale: primary unreachable\n",
  );
});

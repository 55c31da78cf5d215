/** What nearside status says above its table, and how the table fits a terminal. */
import { expect, test } from "vitest";
import { describeTotals } from "../../../functions/cli/status-totals.ts";
import { formatTable } from "../../../functions/cli/table.ts";
import type { RepositoryStatus } from "../../../lib/mirror/mirror-status.ts";

const NOW_MS = Date.parse("2026-12-01T12:00:00Z");

function repositories(counts: Readonly<Record<string, number>>, more: Partial<RepositoryStatus> = {}) {
  return Object.entries(counts).flatMap(([state, count]) =>
    Array.from({ length: count }, () => ({ state, isSelected: true, ...more }) as RepositoryStatus),
  );
}

test("totals say how many are available, failed and to go, and how long that takes by the last hour", () => {
  const finished = (count: number, minutesAgo: number) =>
    repositories({ AVAILABLE: count }, { firstSyncAt: new Date(NOW_MS - minutesAgo * 60_000).toISOString() });
  // 20 in 20 minutes; what was done days ago says nothing of that.
  const all = [
    ...[...finished(167, 3000), ...finished(1, 20), ...finished(19, 5)],
    ...repositories({ ERROR_INITIALIZING: 2, ERROR_AVAILABLE: 1, NOT_MIRRORED: 8, INITIALIZING: 2 }),
  ];
  expect(describeTotals(all, NOW_MS)).toBe("187 of 200 available, 3 failed, 10 to go, about 10 min");
  expect(describeTotals(repositories({ AVAILABLE: 3 }), NOW_MS)).toBe("3 of 3 available");
  expect(describeTotals(repositories({ AVAILABLE: 1, NOT_MIRRORED: 900 }), NOW_MS)).toBe(
    "1 of 901 available, 900 to go",
  );
  expect(describeTotals(repositories({ NOT_MIRRORED: 3 }, { isSelected: false }), NOW_MS)).toBe("");
  const noAccess = { since: "2026-12-01T11:00:00Z", isServed: false, isDeleted: false, keptUntil: undefined };
  expect(describeTotals(repositories({ NOT_MIRRORED: 1 }, { noAccess }), NOW_MS)).toBe(
    "0 of 1 available, 1 failed",
  );
});

test.each([80, 60, 40])("a table fits a terminal of %i columns: the widest cells are cut", (columns) => {
  const rows = [
    ["a-repository-with-a-name-that-is-as-long-as-Bitbucket-allows-".repeat(2), "CORE", "AVAILABLE"],
    ["site", "A-KEY-OF-A-PROJECT-THAT-IS-LONG", "NO_ACCESS (not served)"],
  ];
  const lines = formatTable(["repository", "project", "state"], rows, columns).split("\n");
  for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(columns);
  expect(lines[1]).toContain("…");
  expect(lines[1]).toContain("AVAILABLE");
  // A pipe gets whole names.
  expect(formatTable(["repository", "project", "state"], rows)).toContain(rows[0]?.[0]);
});

/** What the index takes from REST's entries. */
import { expect, test } from "vitest";
import { noteListed, workingIndex } from "../../../lib/reconcile/index-changes.ts";
import { parseRepositoryUuid } from "../../../lib/repo/layout.ts";

const UUID = parseRepositoryUuid("0a1b2c3d-0000-4000-8000-000000000001");
const ENTRY = {
  ...{ uuid: UUID, workspace: "acme", slug: "site", fullName: "acme/site", isPrivate: true },
  ...{
    workspaceUuid: undefined,
    projectKey: "CORE",
    updatedOn: "2026-01-02T03:04:05Z",
    sizeBytes: 3_000_000_000,
  },
};
const AT = "2026-01-02T04:00:00.000Z";

test("an entry without a size keeps the known one; one without a project has none", () => {
  const index = workingIndex(undefined);
  noteListed(index, ENTRY, AT);
  noteListed(index, { ...ENTRY, sizeBytes: undefined, projectKey: undefined }, AT);
  expect(index.repositories.get(UUID)).toMatchObject({ sizeBytes: 3_000_000_000, projectKey: undefined });
  noteListed(index, { ...ENTRY, sizeBytes: 0 }, AT);
  expect(index.repositories.get(UUID)).toMatchObject({ sizeBytes: 0, projectKey: "CORE" });
});

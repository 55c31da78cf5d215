/** doctor's check of repositories that the account cannot see: Bitbucket is asked about a few, however many there are. */
import { expect, test } from "vitest";
import { checkAccess } from "../../../functions/cli/doctor/check-access.ts";
import type { BitbucketAccess } from "../../../functions/wiring/bitbucket-access.ts";
import { ConfigError, NotFoundError, UpstreamError } from "../../../lib/errors.ts";
import { mirrorConfigOf } from "../../../lib/mirror/mirror-config.ts";
import type { RepositoryStatus, WorkspaceStatus } from "../../../lib/mirror/mirror-status.ts";

const [WORKSPACE] = mirrorConfigOf([{ workspace: "acme", credential: "bot", projects: "all" }]).workspaces;
if (WORKSPACE === undefined) throw new Error("no workspace");

function statusWith(count: number): WorkspaceStatus {
  const since = new Date(Date.now() - 3_600_000).toISOString();
  const repositories = Array.from({ length: count }, (_, index) => ({
    ...{ uuid: `00000000-0000-4000-8000-00000000000${index}`, slug: `r${index}`, isSelected: true },
    noAccess: { since, isServed: index === 0, isDeleted: false, keptUntil: undefined },
  }));
  return {
    repositories: repositories as unknown as RepositoryStatus[],
    neverListed: [] as string[],
  } as unknown as WorkspaceStatus;
}

function primaryThat(answer: () => Promise<unknown>) {
  let asked = 0;
  const ask = () => {
    asked += 1;
    return answer();
  };
  const primary = { api: { repository: ask }, upstreamOf: () => ({ listRefs: ask }) };
  const access = { primaryOf: async () => primary } as unknown as BitbucketAccess;
  return { access, askedCount: () => asked };
}

test("of nine, five are named and Bitbucket is asked about three, by REST and by git", async () => {
  const { access, askedCount } = primaryThat(() => Promise.reject(new NotFoundError("none")));
  const [finding] = await checkAccess(WORKSPACE, statusWith(9), access);
  expect(finding).toMatchObject({ check: "acme: access", status: "fail" });
  expect(finding?.detail).toMatch(
    /^Bitbucket does not show 9 repositories to the account "bot": r0, r1, r2, r3, r4, and 4 more; since \d+ \w+, 1 of them still served; r0 now: REST answers 404, git answers 404; r1 now/,
  );
  expect(askedCount()).toBe(6);
});

test.each([
  [
    "a right that is back",
    () => Promise.resolve(),
    "REST answers, git answers, so the right is back: sync it",
  ],
  [
    "a refusal",
    () => Promise.reject(new UpstreamError("no", { status: 403, retryable: false })),
    "REST answers 403, git answers 403",
  ],
  [
    "an outage",
    () => Promise.reject(new UpstreamError("no answer", { retryable: true })),
    "REST fails (no answer), git fails (no answer)",
  ],
])("%s is said", async (_name, answer, words) => {
  const [finding] = await checkAccess(WORKSPACE, statusWith(1), primaryThat(answer).access);
  expect(finding?.detail).toContain(words);
});

test("without the account's secret, what the mirror has noted is still said", async () => {
  const access = {
    primaryOf: () => Promise.reject(new ConfigError("not set")),
  } as unknown as BitbucketAccess;
  expect(await checkAccess(WORKSPACE, statusWith(1), access)).toMatchObject([{ status: "fail" }]);
});

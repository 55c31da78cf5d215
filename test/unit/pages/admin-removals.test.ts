/** What administrators see of repositories that Bitbucket does not list, and how they confirm that these were deleted. */
import { expect, test } from "vitest";
import { workspaceIndex } from "../../../lib/mirror/workspace-index.ts";
import { adminRig, OLGA } from "../../support/admin-rig.ts";
import { nameRepository } from "../../support/named-repository.ts";

test("repositories that Bitbucket does not show are listed, with what to do; readers see why there is no news", async () => {
  const { act, send, sessionOf, store, uuidOf, config } = await adminRig();
  const unlisted = { since: "2026-11-25T11:00:00.000Z", rounds: 1 };
  await workspaceIndex(store, "acme").change((index) => {
    if (index === undefined) throw new Error("no index");
    const [vault, plans] = ["vault", "plans"].map((slug) => index.repositories[uuidOf(slug)]);
    if (vault === undefined || plans === undefined) throw new Error("no entry");
    const gone = { ...plans, unlisted, held: "retired", isGone: true } as const;
    return {
      ...index,
      repositories: { [uuidOf("vault")]: { ...vault, unlisted }, [uuidOf("plans")]: gone },
    };
  });
  await nameRepository(store, uuidOf("vault"), { workspace: "acme", slug: "vault", isPrivate: true });
  const headers = await sessionOf(OLGA);
  expect((await send("/-/admin", { headers })).text).toContain("2 without access");
  const { text } = await send("/-/admin/acme", { headers });
  expect(text).toMatch(
    /Not shown by Bitbucket: 2[\s\S]*Give the account <code>bot<\/code> the right[\s\S]*acme\/plans<\/label><\/th>\n<td>60 min ago<\/td><td>no<[\s\S]*acme\/vault<\/label><\/th>\n<td>60 min ago<\/td><td>until three lists/,
  );
  expect(text).toContain("Confirm: all 2 were deleted");
  const list = await send("/", { headers });
  expect(list.text).toMatch(/acme\/vault[\s\S]*does not show the repository to the mirror/);
  expect(list.text).not.toContain("acme/plans");
  await act("select", { projects: "all", exclude: "plans", public: "on", retentionDays: "30" });
  expect(await config()).toMatchObject({ exclude: ["plans"] });
  expect((await send("/-/admin/acme", { headers })).text).toContain("Not shown by Bitbucket: 1");
});

async function withUnlisted(rig: Awaited<ReturnType<typeof adminRig>>, more: object): Promise<void> {
  const unlisted = { since: "2026-11-25T11:00:00.000Z", rounds: 1 };
  await workspaceIndex(rig.store, "acme").change((index) => {
    if (index === undefined) throw new Error("no index");
    const repositories = Object.entries(index.repositories).map(([uuid, one]) => [
      uuid,
      { ...one, unlisted, ...more },
    ]);
    return { ...index, repositories: Object.fromEntries(repositories) };
  });
}

test("deletions that Bitbucket announced and that are held back are listed, and confirmed by a form", async () => {
  const rig = await adminRig();
  await withUnlisted(rig, { isDeleted: true });
  const headers = await rig.sessionOf(OLGA);
  expect((await rig.send("/-/admin", { headers })).text).toContain("2 deleted and still served");
  const { text } = await rig.send("/-/admin/acme", { headers });
  expect(text).toMatch(
    /Deleted at Bitbucket, still served: 2[\s\S]*value="plans"> acme\/plans[\s\S]*value="vault"/,
  );
  expect(text).not.toContain("Not shown by Bitbucket");
  // The form for all names each: what is lost after the page was shown is not confirmed.
  expect(text).toMatch(
    /name="repository" value="plans"><input type="hidden" name="repository" value="vault">[\s\S]{0,300}Confirm: all 2 were deleted/,
  );
  expect((await rig.act("accept", { all: "yes" })).status).toBe(400);
  expect(
    (
      await rig.act("accept", [
        ["repository", "plans"],
        ["repository", "vault"],
      ])
    ).status,
  ).toBe(303);
  expect(rig.accepted).toEqual([["plans", "vault"]]);
  expect(await rig.log()).toMatchObject([{ action: "accept", detail: "plans, vault" }]);
  // The list that withdraws them is made at once.
  expect(rig.jobs).toMatchObject([{ kind: "workspace" }]);
});

test("a form with no box ticked accepts nothing; what was confirmed is asked for no more", async () => {
  const rig = await adminRig();
  const answer = await rig.act("accept");
  expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("tick the repositories")]);
  expect([rig.accepted, await rig.log()]).toEqual([[], []]);
  await withUnlisted(rig, { isDeleted: true, removalAcceptedAt: "2026-11-25T11:30:00.000Z" });
  const { text } = await rig.send("/-/admin/acme", { headers: await rig.sessionOf(OLGA) });
  expect(text).not.toContain("still served");
});

/** The mirror's account loses the right to one repository of two: what status, doctor, reconcile and the page say, until it is back. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finding } from "../../functions/cli/doctor/finding.ts";
import { SILENT_LOGGER } from "../../lib/log.ts";
import type { WorkspaceStatus } from "../../lib/mirror/mirror-status.ts";
import { FsBlobStore } from "../../lib/store/fs-blob-store.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { type LocalMirrorRig, startLocalMirrorRig } from "../support/local-mirror-rig.ts";

const BOT = { NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}' };

let folder: TemporaryFolder;
let rig: LocalMirrorRig;
const logged: unknown[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  const storeFolder = join(folder.path, "store");
  await mkdir(storeFolder);
  const log = {
    ...SILENT_LOGGER,
    error: (event: string, fields?: object) => void logged.push({ event, ...fields }),
  };
  rig = await startLocalMirrorRig({ store: new FsBlobStore(storeFolder), log });
  await rig.create("harbor", "ferry", "CORE");
  await rig.create("harbor", "quay", "CORE");
  grant("admin");
  await rig.select({ workspace: "harbor", credential: "bot", projects: "all" });
  await rig.settled();
});
afterAll(async () => {
  await rig.close();
  await folder.remove();
});

/** What the mirror's account may do to the ferry. */
function grant(ferry: "admin" | "none"): void {
  const { controls } = rig.fake;
  controls.replaceAccounts({
    callers: [
      { name: "developer", token: "developer", rights: { harbor: "admin", "harbor/ferry": ferry } },
      { name: "dana", token: "dana", rights: { harbor: "read" } },
    ],
    repositories: Object.fromEntries(
      Object.entries(controls.accounts.repositories).map(([name, one]) => [name, { ...one, public: false }]),
    ),
  });
}

const primaryOptions = () => ["--api-url", rig.fake.apiUrl, "--git-url", rig.fake.gitUrl];
const run = (...args: string[]) => runCli([...args, "--store", join(folder.path, "store")], BOT);

async function statusOfFerry() {
  const { exitCode, stdout } = await run("status", "--failed", "--json");
  const [workspace] = dataOf(stdout) as WorkspaceStatus[];
  expect(workspace?.repositories.map(({ slug }) => slug)).toEqual(exitCode === 3 ? ["ferry"] : []);
  return workspace?.repositories[0];
}

async function accessFindings(): Promise<Finding[]> {
  const { stdout } = await run("doctor", "--json", ...primaryOptions());
  return (dataOf(stdout) as Finding[]).filter(({ check }) => check === "harbor: access");
}

async function clone(token: string): Promise<number> {
  const headers = { authorization: `Basic ${btoa(`x-bitbucket-api-token-auth:${token}`)}` };
  const answer = await fetch(`${rig.server.url}/harbor/ferry.git/info/refs?service=git-upload-pack`, {
    headers,
  });
  await answer.arrayBuffer();
  return answer.status;
}

test("while all is well, nothing is said", async () => {
  expect((await run("status", "--failed")).exitCode).toBe(0);
  expect(await statusOfFerry()).toBeUndefined();
  expect(await accessFindings()).toMatchObject([
    { status: "ok", detail: 'Bitbucket shows all 2 selected repositories to the account "bot"' },
  ]);
});

test("a sync finds it first: still served, and said with what to do", async () => {
  grant("none");
  const synced = await run("sync", "harbor/ferry", ...primaryOptions());
  expect(synced.exitCode).toBe(3);
  expect(synced.stderr).toContain("harbor/ferry: the mirror's account cannot see it at Bitbucket");
  expect(synced.stdout).toContain(
    "Failed: harbor/ferry. To clients: 1 repository served as of the last sync.\n  See nearside status --failed",
  );
  expect(await statusOfFerry()).toMatchObject({ noAccess: { isServed: true, isDeleted: false } });
  const { stdout } = await run("status", "--failed");
  expect(stdout).toMatch(/^ {2}ferry +CORE +NO_ACCESS {2}/m);
  expect(stdout).toContain("Served as of its last sync, until Bitbucket's lists confirm it.");
  expect(stdout).not.toContain("quay");
  expect(await clone("dana")).toBe(200);
});

test("a list confirms it: not served, and all name the cause and the next command", async () => {
  await rig.mirror.reconcile("list");
  await rig.settled();
  expect(await clone("dana")).toBe(404);
  expect(logged).toContainEqual(
    expect.objectContaining({
      ...{ event: "reconcile:no-access", workspace: "harbor", count: 1 },
      ...{ repositories: ["ferry"], isWithdrawn: true, message: expect.stringContaining("lacks the right") },
    }),
  );
  expect(await statusOfFerry()).toMatchObject({
    noAccess: { isServed: false, isDeleted: false, keptUntil: expect.stringMatching(/^2/) },
  });
  const { stdout, exitCode } = await run("status", "harbor");
  expect(exitCode).toBe(3);
  expect(stdout).toMatch(/^ {2}ferry +CORE +NO_ACCESS \(not served\) /m);
  expect(stdout).toMatch(
    /^ {2}ferry: Bitbucket has not shown it to the mirror's account for \d+ \w+: the account lacks the right to read it, or it was deleted\. Not served; its data is kept until \d{4}-\d\d-\d\d\.$/m,
  );
  expect(stdout).toContain('give account "bot" the right to read it, then nearside sync harbor/ferry');
  expect(stdout).toContain("If it was deleted there: nearside reconcile --accept-removals harbor/ferry");
  const [ferry] =
    (dataOf((await run("status", "--json")).stdout) as { repositories: object[] }[])[0]?.repositories ?? [];
  expect(ferry).toMatchObject({ slug: "ferry", state: "NOT_MIRRORED", shownState: "NO_ACCESS" });
  const again = await run("sync", "harbor/ferry", ...primaryOptions());
  expect(again.stdout).toContain("Failed: harbor/ferry. To clients: 1 repository not served.");
  expect(await accessFindings()).toMatchObject([
    {
      status: "fail",
      detail: expect.stringMatching(
        /^Bitbucket does not show 1 repository to the account "bot": ferry; since .*; ferry now: REST answers 404, git answers 404$/,
      ),
      advice: expect.stringContaining("nearside sync harbor/ferry"),
      command: "nearside status --failed harbor",
    },
  ]);
  const verified = await run("verify", "harbor/ferry", ...primaryOptions());
  expect(verified.stdout).toContain("Bitbucket does not show it to the mirror's account");
  expect(verified.stdout).not.toContain("Run nearside sync");
  expect((await run("reconcile")).stdout).toContain("for the account any more: ferry");
});

test("one that the operator calls deleted is no failure any more", async () => {
  const accepted = await run("reconcile", "--accept-removals", "harbor/ferry");
  expect(accepted.stdout).toContain("harbor: withdrawn before, and deleted from now on: ferry");
  expect((await run("status", "--failed")).exitCode).toBe(0);
  expect((await run("status")).stdout).toMatch(/ferry: deleted at Bitbucket .* and not served/);
  expect(await accessFindings()).toMatchObject([{ status: "ok" }]);
});

test("the right comes back: a sync serves it again, and nothing is said any more", async () => {
  grant("admin");
  expect((await run("sync", "harbor/ferry", ...primaryOptions())).exitCode).toBe(0);
  expect(await statusOfFerry()).toBeUndefined();
  const [ferry] =
    (dataOf((await run("status", "--json")).stdout) as WorkspaceStatus[])[0]?.repositories ?? [];
  expect(ferry).toMatchObject({
    slug: "ferry",
    state: "AVAILABLE",
    shownState: "AVAILABLE",
    isSelected: true,
  });
  expect(ferry).not.toHaveProperty("noAccess");
  expect(await accessFindings()).toMatchObject([{ status: "ok" }]);
});

test("a deletion that a webhook announces is no missing right", async () => {
  await rig.fake.lifecycle.remove({ workspace: "harbor", slug: "ferry" });
  await rig.settled();
  expect((await run("status", "--failed")).exitCode).toBe(0);
  await rig.mirror.reconcile("list");
  await rig.settled();
  expect((await run("status")).stdout).toMatch(/ferry: deleted at Bitbucket/);
  expect((await run("status", "--failed")).exitCode).toBe(0);
});

test("a name that is selected, and that Bitbucket has never listed, is named", async () => {
  await run("select", "harbor", "--no-project", "--include", "quay", "--include", "quai");
  const { stdout, exitCode } = await run("status");
  expect(exitCode).toBe(3);
  expect(stdout).toContain("Selected, but Bitbucket does not list under this name: quai.");
  expect(await accessFindings()).toMatchObject([{ status: "fail", detail: expect.stringContaining("quai") }]);
});

/** The deployment as a whole: real git through the model of API Gateway and Lambda, from a push to the queues and back. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkDeployment } from "../../functions/cli/doctor/check-deployment.ts";
import type { Finding } from "../../functions/cli/doctor/finding.ts";
import { changeMirrorConfig, readMirrorConfig } from "../../lib/mirror/config-store.ts";
import { readWorkspaceIndex } from "../../lib/mirror/workspace-index.ts";
import {
  buryJobs,
  DEAD_LETTER_QUEUES,
  expectCharts,
  signInAdministrator,
} from "../support/aws-front/administrator-session.ts";
import { type DeployedAcme, QUEUES, startDeployedAcme } from "../support/aws-front/deployed-acme.ts";
import { comparePermissions, UNUSED_BY_ONE_TEST } from "../support/aws-front/permission-records.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";
import { searchedTexts, TOKENS } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();

describe.skipIf(runtimeClient === undefined)("the deployment", () => {
  let acme: DeployedAcme;
  let clone: string;
  /** Of jobs and webhooks, at S3, by function and key: what costs twelve times a read. */
  const writes: string[] = [];

  beforeAll(async () => {
    acme = await startDeployedAcme({
      runtimeClient: runtimeClient ?? "",
      interceptS3({ method = "", url = "", headers }) {
        const { pathname, searchParams } = new URL(url, "http://s3");
        const isList = searchParams.has("list-type");
        const caller = String(headers["x-amz-security-token"]);
        if (
          ["sync", "webhook", "lfsSync"].includes(caller) &&
          (isList || !["GET", "HEAD", "DELETE"].includes(method))
        )
          writes.push(`${caller} ${isList ? "LIST" : method} ${decodeURIComponent(pathname)}`);
        return false;
      },
    });
  });

  afterAll(() => acme.close());

  const withCredential = (args: readonly string[], cwd?: string) =>
    git([...acme.credentials.options, ...args], cwd === undefined ? {} : { cwd });

  test("the schedule brings a repository in, and git clones it", async () => {
    // As in a new account: reconcile makes it.
    acme.front.secrets.parameters.delete("/nearside/webhook-secret");
    const report = await acme.front.function("reconcile").invokeAsync({ source: "aws.events" });
    expect(report, acme.front.log()).toEqual([{ workspace: "acme", jobCount: 1 }]);
    await acme.settled();
    clone = acme.primary.newPath();
    await withCredential(["clone", "--quiet", "--mirror", acme.url, clone]);
    expect(await refsOf(clone)).toBe(await refsOf(acme.primary.repository));
    await expectSilentFsck(clone);
  });

  test("a push goes to the primary; its webhook is a sync, an event, and the next fetch", async () => {
    const work = acme.primary.newPath();
    await withCredential(["clone", "--quiet", "--depth", "1", acme.url, work]);
    await git(["commit", "--quiet", "--allow-empty", "-m", "pushed"], { cwd: work });
    const id = await git(["rev-parse", "HEAD"], { cwd: work });
    await withCredential(["push", "--quiet", "origin", "HEAD:refs/heads/main"], work);
    expect(await git(["rev-parse", "main"], { cwd: acme.primary.repository })).toBe(id);
    const waited = await acme.ask(
      `/-/repositories/acme/sample/wait?ref=refs/heads/main&id=${id}&timeout=200`,
    );
    expect(waited.status).toBe(200);
    // The wait may have found the commit first.
    const { controls } = acme.primary.fake;
    await expect
      .poll(() => controls.deliveries.map(({ status }) => status), { timeout: 60_000 })
      .toEqual([202]);
    await withCredential(["fetch", "--quiet"], clone);
    expect(await git(["rev-parse", "main"], { cwd: clone })).toBe(id);
    await acme.settled();
    expect(acme.front.eventBus.events.at(-1)?.Detail).toContain(id);
  });

  test("a push takes eleven writes of the store", async () => {
    await acme.settled();
    writes.length = 0;
    await acme.primary.commit("main", "counted.txt", "counted\n");
    await acme.primary.fake.lifecycle.pushed({ workspace: "acme", slug: "sample" });
    await acme.settled();
    const plain = writes.map((line) =>
      line.replace(`/nearside/repos/${acme.uuid}/`, "").replaceAll(/[0-9a-f]{40,64}/g, "<id>"),
    );
    expect(plain.toSorted()).toEqual([
      `sync PUT /nearside/answers/${acme.uuid}/<id>`,
      `sync PUT /nearside/answers/${acme.uuid}/<id>`,
      "sync PUT manifest.json",
      "sync PUT objects/pack/pack-<id>.history-4",
      "sync PUT objects/pack/pack-<id>.idx",
      "sync PUT objects/pack/pack-<id>.pack",
      "sync PUT packed-refs",
      "sync PUT recent-2/<id>",
      "sync PUT ref-snapshots/<id>",
      "sync PUT repository.json",
      "webhook PUT announced",
    ]);
  });

  test("files of git-lfs are copied after a push, and pulled from the bucket", async () => {
    const content = randomBytes(2_000_000);
    const oid = await addLfsFile(acme.primary, "large.bin", content);
    await acme.primary.commit("main", ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    await acme.primary.fake.lifecycle.pushed({ workspace: "acme", slug: "sample" });
    await acme.settled();
    expect(acme.front.function("lfsSync").log()).toContain(`"event":"lfs:copied"`);
    const work = acme.primary.newPath();
    await withCredential(["clone", "--quiet", "--no-checkout", acme.url, work]);
    await git(["lfs", "install", "--local"], { cwd: work });
    const before = acme.primary.fake.controls.requests.length;
    await withCredential(["lfs", "pull", "--include", "*.bin"], work);
    const file = join(work, ".git/lfs/objects", oid.slice(0, 2), oid.slice(2, 4), oid);
    expect((await readFile(file)).equals(content)).toBe(true);
    const { requests } = acme.primary.fake.controls;
    expect(requests.slice(before).filter(({ path }) => path.includes("lfs"))).toEqual([]);
  });

  test("who may not read is asked by API Gateway's answer for a credential, and refused in the function's", async () => {
    const anonymous = await fetch(`${acme.url}/info/refs?service=git-upload-pack`);
    expect([anonymous.status, anonymous.headers.get("www-authenticate")]).toEqual([
      401,
      'Basic realm="Nearside mirror of Bitbucket"',
    ]);
    const { stderr } = await tryGit(["ls-remote", acme.url.replace("://", "://wanda:wrong@")]);
    expect(stderr).toContain("Authentication failed");
  });

  test("while the primary is away, the authorizer finds that out with the mirror's own account", async () => {
    acme.primary.fake.controls.misbehave({ down: true });
    try {
      const { stderr } = await tryGit(["ls-remote", acme.url.replace("://", "://robot:unknown@")]);
      expect(stderr).toContain("returned error: 503");
    } finally {
      acme.primary.fake.controls.behave();
    }
    expect(acme.front.function("authorizer").log()).toContain('"event":"primary:failed"');
  });

  test("a commit that is not here makes a sync, and the page is served", async () => {
    const syncs = acme.front.function("sync").counts.invocations;
    const { exitCode } = await tryGit(
      [...acme.credentials.options, "fetch", "--quiet", acme.url, "0123456789".repeat(4)],
      { cwd: clone },
    );
    expect(exitCode).not.toBe(0);
    await acme.settled();
    expect(acme.front.function("sync").counts.invocations).toBe(syncs + 1);
    const page = await fetch(`${acme.front.url}/`);
    expect(await page.text()).toContain('href="/git/-/page.css?');
    expect([page.status, page.headers.get("content-type")]).toEqual([
      200,
      expect.stringContaining("text/html"),
    ]);
  });

  test("an administrator sees the charts, queues a sync, and has another function change what is mirrored", async () => {
    const syncs = acme.front.function("sync").counts.invocations;
    const { front } = acme;
    const { page, act, post } = await signInAdministrator(acme);
    await expectCharts(acme, page);
    await act("sync", { repository: "sample" });
    await acme.settled();
    expect(front.function("sync").counts.invocations).toBe(syncs + 1);
    expect(front.function("administer").counts.invocations).toBe(0);

    const config = async () => (await readMirrorConfig(front.store))?.workspaces[0];
    await act("pause");
    expect([(await config())?.disabled, await page("/-/admin/acme")]).toEqual([
      true,
      expect.stringContaining("/acme/resume"),
    ]);
    await act("resume");
    await act("select", { projects: "all", exclude: "secret-*", public: "on", retentionDays: "9" });
    expect(await config()).toMatchObject({ disabled: false, exclude: ["secret-*"], retentionDays: 9 });
    await act("reconnect", { credential: "bot" });
    const unknown = await post("/-/admin/acme/reconnect", { credential: "acme" });
    expect([unknown.status, await unknown.text()]).toEqual([
      409,
      expect.stringContaining("the mirror cannot use this account"),
    ]);
    const removedMs = Date.now();
    await act("remove", { confirm: "acme" });
    expect(Date.parse((await config())?.removedAt ?? "")).toBeGreaterThanOrEqual(removedMs);
    await act("restore");
    expect((await config())?.removedAt).toBeUndefined();
    const acceptedMs = Date.now();
    await act("accept", { repository: "sample" });
    const { value: index } = await readWorkspaceIndex(front.store, "acme");
    const { removalAcceptedAt = "" } = index?.repositories[acme.uuid] ?? {};
    expect(Date.parse(removalAcceptedAt)).toBeGreaterThanOrEqual(acceptedMs);
    await acme.settled();
    const written = await page("/-/admin/acme");
    for (const line of [
      "pause acme",
      "select acme (projects: all",
      "accept acme (sample)",
      "sync acme (sample)",
    ])
      expect(written).toContain(line);
    expect(written).toMatch(/reconnect acme \(account acme\)[^/]*Failed: the mirror cannot use this account/);
  });

  test("an administrator lists the workspace's dead letters and queues them again, and no other's", async () => {
    const { page, act } = await signInAdministrator(acme);
    await buryJobs(acme);
    const letters = await page("/-/admin/acme?letters=yes");
    expect(letters).toContain("acme (all of it), asked, of 2026-12-01");
    expect(letters).toContain("find LFS files");
    expect(letters).toContain("not relayed to EventBridge");
    expect(letters).not.toContain("other");
    await act("replay");
    await acme.settled();
    const { queues, sqs } = acme.front;
    for (const name of DEAD_LETTER_QUEUES)
      expect(await sqs.takeAll(queues.url(name))).toMatchObject([
        { body: expect.stringContaining('"workspace":"other"') },
      ]);
  });

  test("the function for administrators asks Bitbucket itself, and does not rely on what calls it", async () => {
    const administer = acme.front.function("administer");
    const before = await readMirrorConfig(acme.front.store);
    for (const authorization of [`Basic ${btoa(`wanda@example.com:${TOKENS.wanda}`)}`, "Basic eDp5", ""])
      expect(await administer.invoke({ workspace: "acme", authorization, action: "pause" })).toEqual({
        problem: "Bitbucket does not say that you administer this workspace",
      });
    expect(await readMirrorConfig(acme.front.store)).toEqual(before);
  });

  test("nearside doctor --deployment finds what it expects, and pushes only what it removes again", async () => {
    const { front, primary } = acme;
    const refs = await refsOf(primary.repository);
    const { gitUrl, apiUrl } = primary.fake;
    const account = { kind: "api-token", email: "wanda@example.com", token: TOKENS.wanda } as const;
    const targets = {
      ...{ mirrorUrl: front.url, repository: "acme/sample", gitUrl, apiUrl, account },
      mayChange: true,
    };
    const findings: Finding[] = [];
    for await (const finding of checkDeployment(targets)) findings.push(finding);
    expect(findings.filter(({ status }) => status === "fail")).toEqual([]);
    expect(await refsOf(primary.repository)).toBe(refs);
    const skips = findings.filter(({ status }) => status === "skipped").map(({ detail }) => detail);
    const reasons =
      /^(it takes |repositories are created|its branch of .* too small|it is whole, and its \d+ refs)/;
    expect(skips.filter((detail) => !reasons.test(detail))).toEqual([]);
    expect(findings.length - skips.length).toBeGreaterThan(15);
    await acme.settled();
  });

  test("a repository that is renamed is served by its new name", async () => {
    await acme.primary.fake.lifecycle.rename({ workspace: "acme", slug: "sample" }, "renamed");
    await acme.settled();
    const renamed = acme.url.replace("sample.git", "renamed.git");
    const byProject = `${acme.front.url}/scm/MAIN/renamed.git`;
    for (const url of [renamed, byProject])
      expect(await withCredential(["ls-remote", url, "refs/heads/main"])).toContain("refs/heads/main");
  });

  test("nothing is dead, nothing was denied by a role, no credential is in a log", async () => {
    for (const name of QUEUES) expect(await acme.front.queues.count(`${name}DeadLetterQueue`)).toBe(0);
    for (const text of searchedTexts()) expect(acme.front.log()).not.toContain(text);
  });

  test("jobs that fail come again later, as those of a receiver at this machine's own address", async () => {
    const webhook = { id: "ci", secret: "ci", url: "https://127.0.0.1:1/", privateAddresses: true };
    acme.front.secrets.parameters.set("/nearside/relay/ci", "relay-secret-of-tests-5d1c");
    await changeMirrorConfig(acme.front.store, (config) => ({ ...config, relayWebhooks: [webhook] }));
    const cwd = join(acme.primary.repository, "../renamed.git");
    const id = await git(["commit-tree", "main^{tree}", "-p", "main", "-m", "relayed"], { cwd });
    await git(["update-ref", "refs/heads/main", id], { cwd });
    await acme.primary.fake.lifecycle.pushed({ workspace: "acme", slug: "renamed" });
    const consumers = { SyncQueue: "sync", LfsQueue: "lfsSync", RelayQueue: "relay" } as const;
    for (const name of QUEUES)
      await acme.front.queues.send(name, { groupId: "g", dedupId: "d", body: "not a job" });
    for (const name of QUEUES) {
      const consumer = acme.front.function(consumers[name]);
      await expect.poll(() => consumer.log(), { timeout: 60_000 }).toContain("queue:job-failed");
    }
  });

  test("roles permit what functions do, and nothing else but for a reason", async () => {
    const { policies } = acme.front;
    await expect
      .poll(() => acme.front.function("relay").log(), { timeout: 60_000 })
      .toContain("public Internet");
    expect(policies.denied).toEqual([]);
    const compared = comparePermissions(policies.unused(), UNUSED_BY_ONE_TEST);
    expect(compared).toEqual({ unexpected: [], stale: [] });
  });
});

/** The deployment as a whole: real git through the model of API Gateway and Lambda, from a push to the queues and back. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedAcme, QUEUES, startDeployedAcme } from "../support/aws-front/deployed-acme.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { git, tryGit } from "../support/git/run-git.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { expectSilentFsck, refsOf } from "../support/primary.ts";
import { searchedTexts } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();

describe.skipIf(runtimeClient === undefined)("the deployment", () => {
  let acme: DeployedAcme;
  let clone: string;

  beforeAll(async () => {
    acme = await startDeployedAcme({ runtimeClient: runtimeClient ?? "" });
  });

  afterAll(() => acme.close());

  const withCredential = (args: readonly string[], cwd?: string) =>
    git([...acme.credentials.options, ...args], cwd === undefined ? {} : { cwd });

  test("the schedule brings a repository in, and git clones it", async () => {
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
    expect([waited.status, acme.primary.fake.controls.deliveries.map(({ status }) => status)]).toEqual([
      200,
      [202],
    ]);
    await withCredential(["fetch", "--quiet"], clone);
    expect(await git(["rev-parse", "main"], { cwd: clone })).toBe(id);
    await acme.settled();
    expect(acme.front.eventBus.events.at(-1)?.Detail).toContain(id);
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

  test("nothing is dead, nothing was denied by a role, no credential is in a log", async () => {
    for (const name of QUEUES) expect(await acme.front.queues.count(`${name}DeadLetterQueue`)).toBe(0);
    expect(acme.front.policies.denied).toEqual([]);
    for (const text of searchedTexts()) expect(acme.front.log()).not.toContain(text);
  });
});

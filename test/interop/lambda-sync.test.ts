import { createHmac } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENV } from "../../lib/config.ts";
import { parseRelayMessage } from "../../lib/relay/relay-message.ts";
import { workspaceSecret } from "../../lib/webhook/signature.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import type { DeployedFunction } from "../support/aws-front/deployed-function.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { type FakeBitbucket, startFakeBitbucket } from "../support/fake-bitbucket/fake-bitbucket.ts";
import { git } from "../support/git/run-git.ts";
import { makeSampleRepository } from "../support/git/sample-repository.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/git/temporary-folder.ts";
import { ACCOUNT_TOKEN, MIRROR_SECRET, searchedTexts } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();

/** As long as a test may take: who waits for what does not come makes it fail. */
const WAIT_SECONDS = 240;

describe.skipIf(runtimeClient === undefined)("the sync and git-http functions together", () => {
  let folder: TemporaryFolder;
  let primary: string;
  let bitbucket: FakeBitbucket;
  let front: AwsFront;
  let sync: DeployedFunction;

  beforeAll(async () => {
    folder = await temporaryFolder();
    primary = join(folder.path, "primary", "acme", "sample.git");
    await mkdir(join(folder.path, "primary", "acme"), { recursive: true });
    await makeSampleRepository(primary);
    bitbucket = await startFakeBitbucket({
      repositoriesFolder: join(folder.path, "primary"),
      accounts: {
        callers: [{ name: "bot", token: ACCOUNT_TOKEN, rights: { acme: "read" } }],
        repositories: { "acme/sample": { public: true } },
      },
    });
    front = await startAwsFront({
      runtimeClient: runtimeClient ?? "",
      folder: folder.path,
      settings: { gitUrl: bitbucket.gitUrl, apiUrl: bitbucket.apiUrl },
      environment: { [ENV.waitSeconds]: String(WAIT_SECONDS) },
    });
    sync = front.function("sync");
  });

  afterAll(async () => {
    await Promise.all([front.close(), bitbucket.close()]);
    await folder.remove();
  });

  function jobFor(uuid: string): unknown {
    const queuedAt = new Date().toISOString();
    return { kind: "repository", workspace: "acme", uuid, reason: "asked", queuedAt };
  }

  function message(job: unknown): unknown {
    const body = JSON.stringify(job);
    const attributes = { ApproximateReceiveCount: "1", MessageGroupId: "sample" };
    return { Records: [{ messageId: "m1", receiptHandle: "r1", body, attributes, eventSource: "aws:sqs" }] };
  }

  /** What waits for the relay. */
  async function relayed(): Promise<unknown[]> {
    const messages = (await front.sqs.takeAll(front.queues.url("RelayQueue"))).map(({ body }) =>
      parseRelayMessage(body),
    );
    for (const { receiver } of messages) expect(receiver).toEqual({ kind: "event-bus" });
    return messages.map(({ event }) => event);
  }

  /** What waits for the sync function. */
  async function queued(): Promise<string[]> {
    return (await front.sqs.takeAll(front.queues.url("SyncQueue"))).map(({ body }) => body);
  }

  /** As Bitbucket does. */
  async function deliverPush(uuid: string): Promise<void> {
    const repository = { uuid: `{${uuid}}`, full_name: "acme/sample", is_private: false };
    // No two pushes have the same body.
    const body = JSON.stringify({ repository, push: { changes: [] }, sentAt: performance.now() });
    const hmac = createHmac("sha256", workspaceSecret(MIRROR_SECRET, "acme")).update(body).digest("hex");
    const headers = { "x-event-key": "repo:push", "x-hub-signature": `sha256=${hmac}` };
    const response = await fetch(`${front.url}/-/webhooks/acme`, { method: "POST", headers, body });
    expect(await response.text(), front.log()).toMatch(/^queued/);
  }

  async function refsOf(repository: string): Promise<string> {
    return git(["show-ref", "--head", "--dereference"], { cwd: repository });
  }

  test("a job brings a repository in, the next one what is new", async () => {
    const uuid = stableUuid("repository", "acme/sample");
    expect(await sync.invoke(message(jobFor(uuid))), sync.log()).toEqual({ batchItemFailures: [] });
    const clone = join(folder.path, "clone.git");
    await git(["clone", "--quiet", "--mirror", `${front.url}/acme/sample.git`, clone]);
    expect(await refsOf(clone)).toBe(await refsOf(primary));
    expect(sync.log()).toContain('"event":"answers:prepared"');

    const tree = await git(["rev-parse", "main^{tree}"], { cwd: primary });
    const commit = await git(["commit-tree", tree, "-p", "main", "-m", "later"], { cwd: primary });
    await git(["update-ref", "refs/heads/main", commit], { cwd: primary });
    await git(["update-ref", "-d", "refs/heads/develop"], { cwd: primary });
    expect(await sync.invoke(message(jobFor(uuid))), sync.log()).toEqual({ batchItemFailures: [] });
    await git(["fetch", "--quiet", "--prune"], { cwd: clone });
    expect(await refsOf(clone)).toBe(await refsOf(primary));
    await git(["fsck", "--full", "--strict"], { cwd: clone });
    expect(await relayed()).toMatchObject([
      { syncType: "SNAPSHOT", generation: 1, slug: "sample", refLimitExceeded: false },
      {
        syncType: "INCREMENTAL",
        generation: 2,
        changes: [{ name: "refs/heads/develop" }, { name: "refs/heads/main", newId: commit }],
      },
    ]);
  });

  test("a listing of refs after the webhook of a push waits for its sync, and requests none", async () => {
    const uuid = stableUuid("repository", "acme/sample");
    const listed = () => git(["ls-remote", `${front.url}/acme/sample.git`, "refs/heads/main"]);
    const before = await git(["rev-parse", "main"], { cwd: primary });
    const commit = await git(["commit-tree", `${before}^{tree}`, "-p", before, "-m", "pushed"], {
      cwd: primary,
    });
    await git(["update-ref", "refs/heads/main", commit], { cwd: primary });
    // Without an event.
    expect(await listed()).toContain(before);
    await deliverPush(uuid);
    const [body = "", ...more] = await queued();
    expect(more).toEqual([]);
    let isListed = false;
    const waiting = Promise.all([listed(), listed()]).finally(() => {
      isListed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(isListed).toBe(false);
    expect(await sync.invoke(message(JSON.parse(body))), sync.log()).toEqual({ batchItemFailures: [] });
    for (const text of await waiting) expect(text).toContain(commit);
    expect(await queued()).toEqual([]);
    // One that brings nothing is over as well when its sync has listed the refs.
    await deliverPush(uuid);
    const [again = ""] = await queued();
    expect(await sync.invoke(message(JSON.parse(again))), sync.log()).toEqual({ batchItemFailures: [] });
    expect(await listed()).toContain(commit);
  });

  test("a job that fails returns to the queue, and the log says why", async () => {
    const failed = { batchItemFailures: [{ itemIdentifier: "m1" }] };
    bitbucket.controls.misbehave({ down: true });
    expect(await sync.invoke(message(jobFor(stableUuid("repository", "acme/other"))))).toEqual(failed);
    bitbucket.controls.behave();
    expect(await sync.invoke(message("not a job"))).toEqual(failed);
    expect(sync.log()).toContain('"event":"queue:job-failed"');
    for (const text of searchedTexts()) expect(sync.log()).not.toContain(text);
  });
});

/** The commands that talk to a deployed mirror's queues, against a server that speaks SQS's protocol. */
import { ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatSyncJob, parseSyncJob, type SyncJob } from "../../lib/mirror/sync-job.ts";
import { SqsJobQueue } from "../../lib/queue/sqs-job-queue.ts";
import { dataOf, runCli } from "../support/cli.ts";
import { type Primary, startPrimary } from "../support/primary.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";

const ENVIRONMENT = {
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "key",
  AWS_SECRET_ACCESS_KEY: "secret",
  NEARSIDE_SECRET_BOT: '{"email":"developer@example.com","token":"developer"}',
};

const JOB: SyncJob = {
  kind: "repository",
  workspace: "acme",
  uuid: "01234567-89ab-cdef-0123-456789abcdef",
  reason: "push",
  queuedAt: "2026-01-02T03:04:05.000Z",
};

let server: SqsServer;
let primary: Primary;
beforeAll(async () => {
  [server, primary] = await Promise.all([startSqsServer(), startPrimary()]);
});
afterAll(() => Promise.all([server.close(), primary.close()]));

/** On this machine, whatever host the server puts into its addresses. */
async function queues() {
  const { queueUrl, deadLetterQueueUrl } = await server.createQueues({ maxReceiveCount: 5 });
  const here = (url: string) => `${server.endpoint}${new URL(url).pathname}`;
  return { queueUrl: here(queueUrl), deadLetterQueueUrl: here(deadLetterQueueUrl) };
}

async function waiting(queueUrl: string): Promise<SyncJob[]> {
  const input = { QueueUrl: queueUrl, MaxNumberOfMessages: 10 };
  const { Messages = [] } = await server.client.send(new ReceiveMessageCommand(input));
  return Messages.map(({ Body = "" }) => parseSyncJob(Body));
}

describe("queues of a deployed mirror", () => {
  test("dead letters are listed without being touched, and replayed once", async () => {
    const { queueUrl, deadLetterQueueUrl } = await queues();
    await new SqsJobQueue(server.client, deadLetterQueueUrl).send([
      { groupId: JOB.uuid, dedupId: "one", body: formatSyncJob(JOB) },
      { groupId: "other", dedupId: "two", body: "something else" },
    ]);
    const place = ["--dead-letter-queue-url", deadLetterQueueUrl];
    for (const _ of ["first", "again"]) {
      const { exitCode, stdout } = await runCli(["dead-letters", "list", ...place], ENVIRONMENT);
      expect(exitCode).toBe(0);
      expect(stdout).toContain(`acme/${JOB.uuid}, push, of ${JOB.queuedAt}`);
      expect(stdout).toContain("2 dead letters");
      expect(stdout).toContain('not a job of this mirror: "something else"');
    }
    const replay = ["dead-letters", "replay", ...place, "--queue-url", queueUrl];
    const replayed = await runCli([...replay, "--max", "1"], ENVIRONMENT);
    expect(replayed).toMatchObject({ exitCode: 0, stdout: "Sent 1 dead letter to the queue again.\n" });
    expect(await waiting(queueUrl)).toEqual([JOB]);
    const wrong = await runCli(["dead-letters", "replay", ...place, "--queue-url", deadLetterQueueUrl]);
    expect(wrong.exitCode).toBe(2);
    const half = await runCli(["dead-letters", "replay", ...place], ENVIRONMENT);
    expect(half).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("belong together") });
  });

  test("sync with a queue's address makes jobs for the deployed mirror, and does none itself", async () => {
    const { queueUrl } = await queues();
    const store = ["--store", primary.storeFolder];
    const at = ["--api-url", primary.fake.apiUrl, "--git-url", primary.fake.gitUrl];
    await runCli(["connect", "acme", "--credential", "bot", ...store, ...at], ENVIRONMENT);
    await runCli(["select", "acme", "--all", ...store], ENVIRONMENT);
    const queued = await runCli(["sync", "acme", "--queue-url", queueUrl, ...store, ...at], ENVIRONMENT);
    expect(queued).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("nearside status --watch") });
    expect(await waiting(queueUrl)).toMatchObject([
      { workspace: "acme", reason: "new", facts: { slug: "sample" } },
    ]);
    const status = await runCli(["status", "--json", ...store], ENVIRONMENT);
    expect(dataOf(status.stdout)).toMatchObject([{ repositories: [{ state: "NOT_MIRRORED" }] }]);
  });
});

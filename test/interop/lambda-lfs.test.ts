/** The functions that sync and copy LFS files as they are deployed, under AWS's runtime client. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bundleFunction, FUNCTION_SOURCES } from "../../infra/bundle.ts";
import { ENV } from "../../lib/config.ts";
import { parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { LFS_STATE } from "../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../lib/repo/stored-lfs-rights.ts";
import { S3BlobStore } from "../../lib/store/s3-blob-store.ts";
import { createS3Client } from "../../lib/store/s3-client.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { functionEnvironment } from "../support/lambda/deployed-mirror.ts";
import { type LambdaInvoker, startLambdaInvoker } from "../support/lambda/lambda-invoker.ts";
import { findRuntimeClient } from "../support/lambda/runtime-client.ts";
import { type SecretServer, startSecretServer } from "../support/lambda/secret-server.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";
import { type SqsServer, startSqsServer } from "../support/queue/sqs-server.ts";
import { type S3Server, startS3Server } from "../support/s3-server/s3-server.ts";
import { ACCOUNT_TOKEN } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();
const UUID = stableUuid("repository", "acme/sample");

describe.skipIf(runtimeClient === undefined)("the sync and lfs-sync functions together", () => {
  let primary: Primary;
  let s3Server: S3Server;
  let secrets: SecretServer;
  let sqs: SqsServer;
  let lfsQueueUrl: string;
  let sync: LambdaInvoker;
  let lfsSync: LambdaInvoker;
  let store: S3BlobStore;

  beforeAll(async () => {
    primary = await startPrimary({ make: makeEmptyRepository });
    s3Server = await startS3Server({ folder: join(primary.folder, "s3") });
    secrets = await startSecretServer({
      "/nearside/accounts/bot": JSON.stringify({ email: "bot@example.com", token: ACCOUNT_TOKEN }),
    });
    sqs = await startSqsServer();
    store = new S3BlobStore({ client: createS3Client(s3Server), bucket: s3Server.bucketName });
    await changeMirrorConfig(store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
    const { queueUrl } = await sqs.createQueues({ maxReceiveCount: 5 });
    const { queueUrl: relayQueueUrl } = await sqs.createQueues({ maxReceiveCount: 5 });
    const at = (url: string) => `${sqs.endpoint}${new URL(url).pathname}`;
    lfsQueueUrl = at(queueUrl);
    const environment = {
      ...functionEnvironment({ s3Server, gitUrl: primary.fake.gitUrl }),
      [ENV.apiUrl]: primary.fake.apiUrl,
      [ENV.secretPath]: "/nearside/",
      [ENV.relayQueueUrl]: at(relayQueueUrl),
      [ENV.lfsQueueUrl]: lfsQueueUrl,
      AWS_ENDPOINT_URL_SQS: sqs.endpoint,
      AWS_ENDPOINT_URL_SSM: secrets.endpoint,
    };
    const started = async (name: "sync" | "lfsSync") => {
      const codeFolder = join(primary.folder, name);
      await bundleFunction(FUNCTION_SOURCES[name], codeFolder);
      return startLambdaInvoker({ runtimeClient: runtimeClient ?? "", codeFolder, environment });
    };
    sync = await started("sync");
    lfsSync = await started("lfsSync");
  });

  afterAll(async () => {
    await Promise.all([sync.close(), lfsSync.close()]);
    await Promise.all([s3Server.close(), secrets.close(), sqs.close()]);
    await primary.close();
  });

  function message(body: string, groupId: string): unknown {
    const attributes = { ApproximateReceiveCount: "1", MessageGroupId: groupId };
    return { Records: [{ messageId: "m1", receiptHandle: "r1", body, attributes, eventSource: "aws:sqs" }] };
  }

  /** @returns The kinds of the jobs that it did. */
  async function doLfsJobs(): Promise<string[]> {
    const kinds: string[] = [];
    for (;;) {
      const waiting = await sqs.takeAll(lfsQueueUrl);
      if (waiting.length === 0) return kinds;
      for (const { body, groupId } of waiting) {
        kinds.push(parseLfsJob(body).kind);
        expect(await lfsSync.invoke(message(body, groupId)), lfsSync.log()).toEqual({
          batchItemFailures: [],
        });
      }
    }
  }

  async function doSync(): Promise<void> {
    const queuedAt = new Date().toISOString();
    const job = { kind: "repository", workspace: "acme", uuid: UUID, reason: "push", queuedAt };
    expect(await sync.invoke(message(JSON.stringify(job), UUID)), sync.log()).toEqual({
      batchItemFailures: [],
    });
  }

  test("a publish is followed by a plan, and that by copies, into the bucket", async () => {
    const contents = [randomBytes(300), randomBytes(9 * 2 ** 20)];
    const oids = [
      await addLfsFile(primary, "a.bin", contents[0] as Buffer),
      await addLfsFile(primary, "b.bin", contents[1] as Buffer),
    ];
    await doSync();
    expect((await doLfsJobs()).toSorted()).toEqual(["copy", "plan", "sweep"]);
    const rights = await new StoredLfsRights(store, UUID).read();
    for (const [i, oid] of oids.entries()) {
      expect(rights.find(oid)?.state).toBe(LFS_STATE.stored);
      expect(Buffer.from((await store.read(lfsFileKey(oid))).bytes).equals(contents[i] as Buffer)).toBe(true);
    }
    expect(lfsSync.log()).toContain('"event":"lfs:copied"');
    expect(lfsSync.log()).not.toContain(ACCOUNT_TOKEN);

    await doSync();
    expect(await doLfsJobs()).toEqual([]);
  });
});

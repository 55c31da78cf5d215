/** The functions that sync and copy LFS files as they are deployed, under AWS's runtime client. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseLfsJob } from "../../lib/lfs/lfs-job.ts";
import { changeMirrorConfig } from "../../lib/mirror/config-store.ts";
import { mirrorConfigOf } from "../../lib/mirror/mirror-config.ts";
import { lfsFileKey } from "../../lib/repo/layout.ts";
import { LFS_STATE } from "../../lib/repo/lfs-rights-table.ts";
import { StoredLfsRights } from "../../lib/repo/stored-lfs-rights.ts";
import { type AwsFront, startAwsFront } from "../support/aws-front/aws-front.ts";
import type { DeployedFunction } from "../support/aws-front/deployed-function.ts";
import { findRuntimeClient } from "../support/aws-front/runtime-client.ts";
import { stableUuid } from "../support/fake-bitbucket/catalogue.ts";
import { addLfsFile } from "../support/lfs/add-file.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../support/primary.ts";
import { ACCOUNT_TOKEN } from "../support/test-credentials.ts";

const runtimeClient = findRuntimeClient();
const UUID = stableUuid("repository", "acme/sample");

describe.skipIf(runtimeClient === undefined)("the sync and lfs-sync functions together", () => {
  let primary: Primary;
  let front: AwsFront;
  let sync: DeployedFunction;
  let lfsSync: DeployedFunction;

  beforeAll(async () => {
    primary = await startPrimary({ make: makeEmptyRepository });
    const { gitUrl, apiUrl } = primary.fake;
    const settings = { gitUrl, apiUrl };
    front = await startAwsFront({ runtimeClient: runtimeClient ?? "", folder: primary.folder, settings });
    await changeMirrorConfig(front.store, () => mirrorConfigOf([{ workspace: "acme", projects: "all" }]));
    [sync, lfsSync] = [front.function("sync"), front.function("lfsSync")];
  });

  afterAll(async () => {
    await front.close();
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
      const waiting = await front.sqs.takeAll(front.queues.url("LfsQueue"));
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
    const rights = await new StoredLfsRights(front.store, UUID).read();
    for (const [i, oid] of oids.entries()) {
      expect(rights.find(oid)?.state).toBe(LFS_STATE.stored);
      expect(Buffer.from((await front.store.read(lfsFileKey(oid))).bytes).equals(contents[i] as Buffer)).toBe(
        true,
      );
    }
    expect(lfsSync.log()).toContain('"event":"lfs:copied"');
    expect(lfsSync.log()).not.toContain(ACCOUNT_TOKEN);

    await doSync();
    expect(await doLfsJobs()).toEqual([]);
  });
});

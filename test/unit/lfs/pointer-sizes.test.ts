/** Pointers whose size is not the file's: the hash says what the file is, and the primary how long it is. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

const CONTENT = randomBytes(1000);
const OID = createHash("sha256").update(CONTENT).digest("hex");

let primary: Primary;
let rig: CopierRig;

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  rig = copierRig(primary, new MemoryBlobStore());
});
afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

test.each([[[1]], [[999]], [[1001]], [[5_000_000_000]], [[1, 1000]], [[999, 1001, 1000]]])(
  "sizes %j: the file is copied once, and its size is the true one",
  async (sizes) => {
    await rig.addFile("right.bin", CONTENT);
    await primary.git("update-ref", "-d", "refs/heads/main");
    for (const [i, size] of sizes.entries())
      await primary.commit(
        "main",
        `${i}.bin`,
        `version https://git-lfs.github.com/spec/v1\noid sha256:${OID}\nsize ${size}\n`,
      );
    await rig.run();
    expect(await rig.storedOids()).toEqual([OID]);
    expect(await rig.record(OID)).toMatchObject({ state: LFS_STATE.stored, sizeBytes: CONTENT.length });
    const { batches, transfers } = primary.fake.lfs;
    expect([batches.map(({ oids }) => oids), transfers.length]).toEqual([[[OID]], 1]);
    expect((await rig.rights.read()).document).toMatchObject({ pointers: 1 });
    await rig.run();
    expect(batches).toHaveLength(1);
  },
);

test("a job has at most 8 GB, but for a file that is larger by itself", async () => {
  const jobs: number[][] = [];
  const queue = {
    send: async (messages: readonly QueueMessage[]) => {
      for (const { body } of messages)
        jobs.push(
          (JSON.parse(body) as { objects: { sizeBytes: number }[] }).objects.map(
            ({ sizeBytes }) => sizeBytes,
          ),
        );
    },
  };
  const GIB = 2 ** 30;
  const sizes = [3 * GIB, 5 * GIB, 1, 20 * GIB, 4 * GIB, 4 * GIB, 4 * GIB];
  const files = sizes.map((sizeBytes, i) => ({ oid: String(i).padStart(64, "0"), sizeBytes }));
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, files);
  expect(jobs).toEqual([[3 * GIB, 5 * GIB], [1], [20 * GIB], [4 * GIB, 4 * GIB], [4 * GIB]]);
});

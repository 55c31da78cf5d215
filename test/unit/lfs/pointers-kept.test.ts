/** The pointers of a repository are known after each sync, and after a compaction, which reads no blob for it. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requestPlan } from "../../../lib/lfs/lfs-job.ts";
import { readRepositoryPointers } from "../../../lib/lfs/repository-pointers.ts";
import type { QueueMessage } from "../../../lib/queue/job-queue.ts";
import { compactRepository } from "../../../lib/repo/compaction/compact-repository.ts";
import { repositoryKeys } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { EAGER } from "../../support/compaction-policies.ts";
import { type CopierRig, copierRig } from "../../support/lfs/copier-rig.ts";
import { makeEmptyRepository, type Primary, startPrimary } from "../../support/primary.ts";
import type { BlobFaults } from "../../support/store/blob-faults.ts";
import { MemoryBlobStore } from "../../support/store/memory-blob-store.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

let primary: Primary;
let rig: CopierRig;
let faults: { -readonly [Key in keyof BlobFaults]: BlobFaults[Key] };
const queue = { send: async (messages: readonly QueueMessage[]) => void rig.messages.push(...messages) };

beforeEach(async () => {
  primary = await startPrimary({ make: makeEmptyRepository });
  faults = {};
  rig = copierRig(primary, new MemoryBlobStore({ faults }));
});

afterEach(async () => {
  await rig.sync.close();
  await primary.close();
});

/** Of each pointer its oid and the id of its blob. */
async function pointers(): Promise<string[]> {
  const found = await readRepositoryPointers(rig.sync.storage, RIG_UUID);
  if (found === undefined) throw new Error("nothing is published");
  const objects = await found.repository.openObjects();
  const lines: string[] = [];
  for (const [packNumber, { pointers }] of found.packs.entries()) {
    if (pointers === undefined) throw new Error("a pack has no sidecar");
    const numbers = objects.packs.numbersOf(packNumber);
    for (let row = 0; row < pointers.records.count; row++) {
      const oid = pointers.records.oidAt(row);
      const number = numbers[pointers.indexNumberAt(row)];
      if (number === undefined) throw new Error("a pointer is outside its pack");
      const { bytes } = await objects.read(number);
      expect(Buffer.from(bytes).toString()).toContain(oid);
      lines.push(`${oid} ${objects.objectId(number)}`);
    }
  }
  return lines.toSorted();
}

test("the pointers of several pushes, as deltas of each other too, are those of the merged pack", async () => {
  const oids: string[] = [];
  for (let push = 0; push < 4; push++) {
    for (let i = 0; i < 3; i++) oids.push(await rig.addFile(`${i}.bin`, randomBytes(100 + push)));
    await primary.git("repack", "-adfq", "--window=50");
    await rig.sync.sync();
  }
  const before = await pointers();
  expect(before.map((line) => line.split(" ")[0])).toEqual(oids.toSorted());
  const outcome = await compactRepository(RIG_UUID, { store: rig.sync.storage.store, policy: EAGER });
  expect(outcome).toMatchObject({ kind: "compacted", packsAfter: 1 });
  expect(await pointers()).toEqual(before);
});

test("what no ref reaches any more is not pointed to after a compaction, and gives no right", async () => {
  await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  const kept = await primary.git("rev-parse", "main");
  const lost = await rig.addFile("a.bin", randomBytes(101));
  await rig.run();
  expect((await rig.record(lost))?.state).toBe(LFS_STATE.stored);
  await primary.git("update-ref", "refs/heads/main", kept);
  await rig.sync.sync();
  await compactRepository(RIG_UUID, { store: rig.sync.storage.store, policy: EAGER });
  await rig.run();
  expect(await pointers()).toHaveLength(1);
  expect(await rig.record(lost)).toBeUndefined();
});

test("a push while a plan runs keeps the rights to its files, and those without a pointer end", async () => {
  const record = (oid: string) => ({ oid, sizeBytes: 1, state: LFS_STATE.stored, tries: 0, seconds: 1 });
  await rig.addFile("a.bin", randomBytes(100));
  await rig.run();
  const unpointed = "ab".repeat(32);
  await rig.rights.add([record(unpointed)]);
  let pushed = "";
  // The notes of the plan, which has read the pointers before.
  faults.before = async ({ kind, key }) => {
    if (kind !== "write" || key !== repositoryKeys(RIG_UUID).lfsRights || pushed !== "") return undefined;
    pushed = "begun";
    pushed = await rig.addFile("b.bin", randomBytes(101));
    await rig.sync.sync();
    await rig.rights.add([record(pushed)]);
    return undefined;
  };
  await requestPlan(queue, { workspace: "acme", uuid: RIG_UUID }, "again");
  await rig.runJobs();
  expect(await rig.record(unpointed)).toBeUndefined();
  expect((await rig.record(pushed))?.state).toBe(LFS_STATE.stored);
});

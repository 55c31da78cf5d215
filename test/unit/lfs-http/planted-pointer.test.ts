/** A pointer proves nothing: strangers write pointers to files of repositories that they cannot read. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestCopies } from "../../../lib/lfs/lfs-job.ts";
import { compactRepository } from "../../../lib/repo/compaction/compact-repository.ts";
import { lfsFileKey } from "../../../lib/repo/layout.ts";
import { LFS_STATE } from "../../../lib/repo/lfs-rights-table.ts";
import { EAGER } from "../../support/compaction-policies.ts";
import { type LfsRig, startLfsRig } from "../../support/lfs/lfs-rig.ts";
import { RIG_UUID } from "../../support/sync-rig.ts";

/** Of another repository, whose readers the stranger is not among. */
const secret = randomBytes(4_000);
const oid = createHash("sha256").update(secret).digest("hex");
let rig: LfsRig;

beforeAll(async () => {
  rig = await startLfsRig();
  await rig.copier.addFile("first.bin", randomBytes(10));
  await rig.copier.run("all");
});

afterAll(() => rig.close());

/** As it was at each step, also after a restart. */
async function expectRefused(): Promise<void> {
  for (let times = 0; times < 2; times++) {
    const { status, json } = await rig.download([{ oid, size: secret.length }]);
    expect(status).toBe(200);
    expect(json.objects).toEqual([
      { oid, size: secret.length, error: { code: 404, message: expect.any(String) } },
    ]);
    rig.restart();
  }
  expect(rig.queued).toEqual([]);
}

test("it is refused without the file, with it, after a compaction, and after the other repository is gone", async () => {
  await expectRefused();
  await rig.copier.addFile("planted.bin", secret, { isMissing: true });
  await rig.copier.run("all");
  await expectRefused();

  await rig.store.write(lfsFileKey(oid), secret);
  await expectRefused();
  const queue = {
    send: async (sent: readonly { groupId: string; dedupId: string; body: string }[]) =>
      void rig.copier.messages.push(...sent),
  };
  await requestCopies(queue, { workspace: "acme", uuid: RIG_UUID }, [{ oid, sizeBytes: secret.length }]);
  await rig.copier.runJobs();
  expect(await rig.copier.record(oid)).toMatchObject({ state: LFS_STATE.missing });
  await expectRefused();

  for (let i = 0; i < 6; i++) {
    await rig.copier.addFile(`${i}.bin`, randomBytes(100 + i));
    await rig.copier.run("all");
  }
  await compactRepository(RIG_UUID, { store: rig.store, policy: EAGER });
  await rig.copier.run("all");
  await expectRefused();

  await rig.store.delete(lfsFileKey(oid));
  await expectRefused();
});

test("a right ends with the last pointer", async () => {
  const own = await rig.copier.addFile("own.bin", randomBytes(50));
  await rig.copier.run("all");
  const kindOf = async () => {
    const { json } = await rig.download([{ oid: own, size: 50 }]);
    return json.objects?.[0]?.actions?.download?.href.includes("/~blobs/") ?? false;
  };
  expect(await kindOf()).toBe(true);
  await rig.primary.git("update-ref", "refs/heads/main", "main~1");
  await rig.copier.run("all");
  await compactRepository(RIG_UUID, { store: rig.store, policy: EAGER });
  await rig.copier.run("all");
  expect(await kindOf()).toBe(false);
});
